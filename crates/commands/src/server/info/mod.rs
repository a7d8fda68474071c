//! INFO. Each core writes what it counted ([`report::Report`]); home adds up and prints the sections asked for.

mod report;
mod saves;
mod sections;

use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use report::Report;
use sections::{SECTIONS, Scene, Section};
use stdx::Args;

/// INFO [section...]: one core's part.
pub(super) fn part(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let per_command = chosen(args).iter().any(|section| section.per_command);
    let report = Report::of(ctx, per_command);
    report.write(&mut ctx.out);
    Ok(Outcome::Done)
}

/// The sections asked for, in their own order, each once.
pub(super) fn merge(ctx: &mut Ctx<'_>, args: Args<'_>, parts: &[&[u8]]) -> Result<(), CommandError> {
    let report = Report::merged(parts);
    let scene = Scene { core: ctx.core, report: &report, now: ctx.now };
    let mut text = String::with_capacity(8192);
    for section in chosen(args) {
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        text.push_str(&format!("# {}\r\n", section.title));
        (section.print)(&scene, &mut text);
    }
    ctx.out.verbatim("txt", text.as_bytes());
    Ok(())
}

/// The sections that the arguments name: the usual ones when there are none.
fn chosen(args: Args<'_>) -> Vec<&'static Section> {
    let names = |word: &[u8], section: &Section| match word.to_ascii_lowercase().as_slice() {
        b"everything" | b"all" => true,
        b"default" => section.usual,
        word => word == section.title.to_ascii_lowercase().as_bytes(),
    };
    let asked = |section: &&Section| match args.len() {
        1 => section.usual,
        _ => args.from(1).iter().any(|word| names(word, section)),
    };
    SECTIONS.iter().filter(asked).collect()
}

#[cfg(test)]
mod tests {
    use crate::testing::World;
    use std::sync::atomic::Ordering;

    fn titles(line: &str) -> Vec<String> {
        let reply = World::new(1).run(line);
        reply
            .split("# ")
            .skip(1)
            .map(|section| section.split(' ').next().expect("a title").to_owned())
            .collect()
    }

    #[track_caller]
    fn check_field(world: &mut World, section: &str, field: &str) {
        let reply = world.run(&format!("INFO {section}"));
        let name = field.split(':').next().expect("a name");
        let line = reply.split(' ').find(|word| word.starts_with(&format!("{name}:")));
        assert_eq!(line, Some(field), "{reply}");
    }

    #[test]
    fn sections_come_in_redis_order() {
        let usual =
            "Server Clients Memory Persistence Stats Replication CPU Modules Errorstats Cluster Keyspace";
        assert_eq!(titles("INFO").join(" "), usual);
        assert_eq!(titles("INFO default").join(" "), usual);
        assert_eq!(titles("INFO everything").len(), 13);
        assert_eq!(titles("INFO all").len(), 13);
        assert_eq!(titles("INFO keyspace CPU keyspace"), ["CPU", "Keyspace"]);
        assert_eq!(titles("INFO default commandstats").len(), 12);
        assert!(titles("INFO nope").is_empty());
    }

    #[test]
    fn text_is_verbatim_in_resp3() {
        let mut world = World::new(1);
        world.check(&["INFO nope"], "$0 ");
        world.check(&["INFO cluster"], "$30 # Cluster cluster_enabled:0 ");
        world.check(&["HELLO 3", "INFO cluster"], "=34 txt:# Cluster cluster_enabled:0 ");
    }

    #[test]
    fn what_all_cores_counted_is_added() {
        let mut world = World::new(2);
        let ping = crate::table::by_name(b"ping").expect("a command").index;
        for core in 0..2u64 {
            let stats = &mut world.cores[core as usize].stats;
            stats.record(ping, 1500);
            stats.failed(ping, "WRONGTYPE no");
            stats.net_in = 100 + core;
            stats.recent_query_bytes_max = 7 + core as usize;
        }
        world.connect(1);
        check_field(&mut world, "stats", "total_commands_processed:2");
        check_field(&mut world, "stats", "total_net_input_bytes:201");
        check_field(&mut world, "stats", "total_error_replies:2");
        check_field(&mut world, "clients", "connected_clients:2");
        check_field(&mut world, "clients", "client_recent_max_input_buffer:8");
        let numbers = "calls=2,usec=3,usec_per_call=1.50,rejected_calls=0,failed_calls=2";
        check_field(&mut world, "commandstats", &format!("cmdstat_ping:{numbers}"));
        check_field(&mut world, "errorstats", "errorstat_WRONGTYPE:count=2");
        let numbers = "p50=1.535,p99=1.535,p99.9=1.535";
        check_field(&mut world, "latencystats", &format!("latency_percentiles_usec_ping:{numbers}"));
    }

    #[test]
    fn databases_with_keys_are_listed() {
        let mut world = World::new(2);
        assert_ne!(world.owner("a"), world.owner("b"));
        for line in ["SET a 1", "SET b 1 PX 5000", "SELECT 3", "SET b 1"] {
            world.run(line);
        }
        let reply = world.run("INFO keyspace");
        assert!(reply.contains("db0:keys=2,expires=1,avg_ttl="), "{reply}");
        assert!(reply.contains("db3:keys=1,expires=0,avg_ttl=0,subexpiry=0 "), "{reply}");
        check_field(&mut world, "persistence", "rdb_changes_since_last_save:3");
    }

    #[test]
    fn what_the_server_knows_is_printed() {
        let mut world = World::new(1);
        world.wait_ms(86_400_000 + 5000);
        world.cores[0].shared.process.rss_bytes.store(3 << 20, Ordering::Relaxed);
        check_field(&mut world, "server", "redis_version:7.2.5");
        check_field(&mut world, "server", &format!("lacewing_version:{}", crate::VERSION));
        check_field(&mut world, "server", "uptime_in_seconds:86405");
        check_field(&mut world, "server", "uptime_in_days:1");
        check_field(&mut world, "server", "gcc_version:0.0.0");
        check_field(&mut world, "server", "atomicvar_api:c11-builtin");
        check_field(&mut world, "stats", "reply_buffer_shrinks:0");
        check_field(&mut world, "stats", "reply_buffer_expands:0");
        world.cores[0].shared.process.core_system_us.store(1_500_000, Ordering::Relaxed);
        check_field(&mut world, "cpu", "used_cpu_sys_main_thread:1.500000");
        check_field(&mut world, "cpu", "used_cpu_user_main_thread:0.000000");
        check_field(&mut world, "memory", "used_memory_rss_human:3.00M");
        check_field(&mut world, "replication", "role:master");
    }
}
