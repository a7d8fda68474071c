//! How many clients the file descriptors of the process allow: each takes one, and the cores take some for themselves.

use config::Config;

/// Raises the limit on descriptors to what `maxclients` needs; where that is not allowed, lowers `maxclients` and says so.
pub(crate) fn fit(config: &mut Config, cores: usize) {
    if let Err(Short { want, got, fits }) = raise(config, cores) {
        config.maxclients = fits.max(1);
        tracing::warn!(
            want,
            got,
            maxclients = config.maxclients,
            "fewer file descriptors than maxclients needs: it is lowered; raise LimitNOFILE"
        );
    }
}

/// Raises the limit for a `maxclients` that came with CONFIG SET. Errors: as an error reply.
pub(crate) fn allow(config: &Config, cores: usize) -> Result<(), String> {
    raise(config, cores).map_err(|short| {
        format!(
            "ERR CONFIG SET failed (possibly related to argument 'maxclients') - The operating system is not able to \
             handle the specified number of clients, try with {}",
            short.fits
        )
    })
}

/// The limit cannot be raised so far.
struct Short {
    want: u64,
    got: u64,
    /// Clients for which it is enough.
    fits: u32,
}

fn raise(config: &Config, cores: usize) -> Result<(), Short> {
    let reserved = reserved(config, cores);
    let want = u64::from(config.maxclients) + reserved;
    let got = reactor::cores::raise_nofile(want);
    if got >= want {
        return Ok(());
    }
    Err(Short { want, got, fits: u32::try_from(got.saturating_sub(reserved)).unwrap_or(u32::MAX) })
}

/// Descriptors for other things than clients: every core has rings, pipes and a listener on each address.
fn reserved(config: &Config, cores: usize) -> u64 {
    RESERVED + cores as u64 * (RESERVED_PER_CORE + config.bind.len() as u64)
}

/// For the process: its log, its directory, files that are written now and then, clients about to be turned away.
const RESERVED: u64 = 64;
/// For one core, besides its listeners: measured as 10, and room for as many more.
const RESERVED_PER_CORE: u64 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_core_and_address_takes_some() {
        let mut config = Config::default();
        let addresses = config.bind.len() as u64;
        assert_eq!(reserved(&config, 1), 84 + addresses);
        assert_eq!(reserved(&config, 4), 144 + 4 * addresses);
        config.bind.clear();
        assert_eq!(reserved(&config, 4), 144);
    }
}
