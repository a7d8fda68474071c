//! Which descriptors of this core have something to read, or room to write again: one epoll instance for all of them.
//!
//! A descriptor is registered once, edge triggered: sockets, listeners, signals, and the bells that other threads ring. The
//! core's loop takes the edges ([`crate::turn`]), which raises flags here and wakes the tasks that wait.
//!
//! A flag that is up means "try": it goes down when the kernel says that there is nothing, or has given less than was
//! asked for. What arrives after that raises an edge, which stays in the epoll instance until the loop takes it, so no
//! edge is lost between a read and the flag. A hang-up never goes down again, for it raises its edge only once.

use std::cell::{Cell, OnceCell, RefCell};
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

thread_local! {
    static WATCH: OnceCell<Watch> = const { OnceCell::new() };
    /// Whether the kernel has said that it knows no wait of nanoseconds (before 5.11), or allows none.
    static WAITS_MILLIS: Cell<bool> = const { Cell::new(false) };
}

/// All descriptors of one core that somebody has waited on.
struct Watch {
    epoll: OwnedFd,
    places: RefCell<Places>,
}

#[derive(Default)]
struct Places {
    watched: Vec<Option<Rc<Watched>>>,
    free: Vec<usize>,
}

/// What is known of one descriptor.
#[derive(Debug)]
pub(crate) struct Watched {
    place: usize,
    pub(crate) reading: Side,
    pub(crate) writing: Side,
    hung_up: Cell<bool>,
}

/// One direction of a descriptor.
#[derive(Debug)]
pub(crate) struct Side {
    may_go: Cell<bool>,
    waiter: RefCell<Option<Waker>>,
}

/// Makes the epoll instance of a core, on any thread.
pub(crate) fn instance() -> io::Result<OwnedFd> {
    // SAFETY: takes a flag, gives a descriptor or an error.
    let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so `fd` is a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Makes `epoll` that of the core on this thread, once.
pub(crate) fn install(epoll: OwnedFd) {
    let watch = Watch { epoll, places: RefCell::default() };
    WATCH.with(|slot| slot.set(watch)).ok().expect("a thread is one core");
}

/// Takes the edges that there are and wakes those who wait for them. Waits for one for at most `timeout`, or without
/// bound.
pub(crate) fn take(events: &mut Events, timeout: Option<Duration>) {
    WATCH.with(|watch| {
        let watch = watch.get().expect("installed before the core's loop begins");
        for event in watch.wait(events, timeout) {
            let place = event.u64 as usize;
            // It may have been closed, or its place be another's by now: then this is one try too many.
            let watched = watch.places.borrow().watched.get(place).cloned().flatten();
            if let Some(watched) = watched {
                watched.take(event.events);
            }
        }
    });
}

/// Room for the edges of one call.
pub(crate) struct Events([libc::epoll_event; EVENTS_MAX]);

impl Default for Events {
    fn default() -> Self {
        Self([libc::epoll_event { events: 0, u64: 0 }; EVENTS_MAX])
    }
}

impl Watched {
    /// Begins to watch `fd` on this core. Errors: the kernel's, when it has no memory for it. Panics on a thread that is no
    /// core.
    pub(crate) fn new(fd: BorrowedFd<'_>) -> io::Result<Rc<Self>> {
        WATCH.with(|watch| {
            let watch = watch.get().expect("only cores wait");
            let mut places = watch.places.borrow_mut();
            let place = places.free.pop().unwrap_or_else(|| {
                places.watched.push(None);
                places.watched.len() - 1
            });
            if let Err(error) = watch.add(fd, place) {
                places.free.push(place);
                return Err(error);
            }
            let watched = Rc::new(Self {
                place,
                reading: Side::default(),
                writing: Side::default(),
                hung_up: Cell::new(false),
            });
            places.watched[place] = Some(Rc::clone(&watched));
            Ok(watched)
        })
    }

    /// A read gave less than was asked for: nothing more is there, unless the peer has ended its side.
    #[inline]
    pub(crate) fn drained(&self) {
        self.reading.may_go.set(self.hung_up.get());
    }

    /// Stops watching; `fd` is the one that was given. An edge that is on its way finds nobody.
    pub(crate) fn forget(&self, fd: BorrowedFd<'_>) {
        // When the thread ends its locals may be gone, and with them the epoll instance.
        let _ = WATCH.try_with(|watch| {
            let Some(watch) = watch.get() else { return };
            // SAFETY: both descriptors are open; no event is passed. A failure means that it was not registered.
            unsafe {
                let none = std::ptr::null_mut();
                libc::epoll_ctl(watch.epoll.as_raw_fd(), libc::EPOLL_CTL_DEL, fd.as_raw_fd(), none);
            }
            let mut places = watch.places.borrow_mut();
            places.watched[self.place] = None;
            places.free.push(self.place);
        });
    }

    fn take(&self, events: u32) {
        const ENDED: i32 = libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR;
        let ended = events & ENDED as u32 != 0;
        if ended {
            self.hung_up.set(true);
        }
        if ended || events & libc::EPOLLIN as u32 != 0 {
            self.reading.go();
        }
        if ended || events & libc::EPOLLOUT as u32 != 0 {
            self.writing.go();
        }
    }
}

impl Default for Side {
    fn default() -> Self {
        Self { may_go: Cell::new(true), waiter: RefCell::default() }
    }
}

impl Side {
    /// Whether it is worth a try; if not, the task is woken when it is.
    #[inline]
    pub(crate) fn may_go(&self, cx: &Context<'_>) -> bool {
        if !self.may_go.get() {
            self.wait(cx);
        }
        self.may_go.get()
    }

    /// The kernel said that there is nothing: the task is woken when there is.
    pub(crate) fn blocked(&self, cx: &Context<'_>) {
        self.may_go.set(false);
        self.wait(cx);
    }

    /// Ready once for all edges since it was last asked; else the task is woken by the next one.
    #[inline]
    pub(crate) fn poll_edge(&self, cx: &Context<'_>) -> Poll<()> {
        if self.may_go.replace(false) {
            return Poll::Ready(());
        }
        self.wait(cx);
        Poll::Pending
    }

    fn wait(&self, cx: &Context<'_>) {
        let mut waiter = self.waiter.borrow_mut();
        if !waiter.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waiter = Some(cx.waker().clone());
        }
    }

    fn go(&self) {
        self.may_go.set(true);
        // Woken outside of the borrow, and once: who waits again says so again.
        let waiter = self.waiter.borrow_mut().take();
        if let Some(waker) = waiter {
            waker.wake();
        }
    }
}

/// Waits once until `fd` has something to read; for who waits seldom, or may go to another core in between.
pub(crate) async fn readable(fd: BorrowedFd<'_>) -> io::Result<()> {
    let mut once = Readable::new(fd);
    // What is there already is an edge, for a descriptor that was not watched before.
    once.watch()?.drained();
    once.wait().await
}

/// A descriptor with the one task that waits until it is readable: a signalfd, a bell. It belongs to the core that first
/// waits on it.
#[derive(Debug)]
pub(crate) struct Readable<F: AsFd> {
    fd: F,
    watched: Option<Rc<Watched>>,
}

impl<F: AsFd> Readable<F> {
    pub(crate) fn new(fd: F) -> Self {
        Self { fd, watched: None }
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Waits until there may be something to read: to be called when a try has found nothing. The first time, or after
    /// something has come in between, it is ready at once.
    pub(crate) async fn wait(&mut self) -> io::Result<()> {
        self.watch()?;
        poll_fn(|cx| self.poll_wait(cx)).await;
        Ok(())
    }

    /// Begins to watch it, if that was not done yet.
    pub(crate) fn watch(&mut self) -> io::Result<&Watched> {
        if self.watched.is_none() {
            self.watched = Some(Watched::new(self.fd.as_fd())?);
        }
        Ok(self.watched.as_ref().expect("just made"))
    }

    /// As [`Readable::wait`], once it is watched.
    #[inline]
    pub(crate) fn poll_wait(&self, cx: &Context<'_>) -> Poll<()> {
        self.watched.as_ref().expect("watched before").reading.poll_edge(cx)
    }
}

impl<F: AsFd> Drop for Readable<F> {
    fn drop(&mut self) {
        if let Some(watched) = &self.watched {
            watched.forget(self.fd.as_fd());
        }
    }
}

impl Watch {
    fn add(&self, fd: BorrowedFd<'_>, place: usize) -> io::Result<()> {
        let events = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET;
        let mut event = libc::epoll_event { events: events as u32, u64: place as u64 };
        // SAFETY: both descriptors are open, and the event is only read.
        let failed = unsafe {
            libc::epoll_ctl(self.epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd.as_raw_fd(), &mut event)
        };
        if failed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    fn wait<'e>(&self, events: &'e mut Events, timeout: Option<Duration>) -> &'e [libc::epoll_event] {
        let events = &mut events.0;
        let taken = match timeout {
            Some(timeout) if !timeout.is_zero() && !WAITS_MILLIS.get() => self.wait_nanos(events, timeout),
            timeout => self.wait_millis(events, timeout),
        };
        // A signal that stops the process and lets it go on interrupts the call: then nothing was taken.
        &events[..usize::try_from(taken).unwrap_or(0)]
    }

    fn wait_nanos(&self, events: &mut [libc::epoll_event], timeout: Duration) -> libc::c_int {
        let until = libc::timespec {
            tv_sec: timeout.as_secs().min(A_DAY_SECS) as libc::time_t,
            tv_nsec: timeout.subsec_nanos().into(),
        };
        let (fd, room) = (self.epoll.as_raw_fd(), events.len() as libc::c_int);
        // SAFETY: the kernel writes at most `room` events and reads `until`; no signal mask is given.
        let taken = unsafe {
            let no_mask = std::ptr::null::<libc::sigset_t>();
            libc::syscall(libc::SYS_epoll_pwait2, fd, events.as_mut_ptr(), room, &until, no_mask, 0)
        };
        let errno = if taken < 0 { io::Error::last_os_error().raw_os_error() } else { None };
        // Sandboxes of containers forbid what they do not know.
        if matches!(errno, Some(libc::ENOSYS | libc::EPERM)) {
            WAITS_MILLIS.set(true);
            return self.wait_millis(events, Some(timeout));
        }
        taken as libc::c_int
    }

    /// The same with the older call, which counts in milliseconds: never shorter than `timeout`.
    fn wait_millis(&self, events: &mut [libc::epoll_event], timeout: Option<Duration>) -> libc::c_int {
        let millis = timeout.map_or(-1, |timeout| {
            timeout.as_nanos().div_ceil(1_000_000).min(u128::from(A_DAY_SECS) * 1000) as libc::c_int
        });
        let room = events.len() as libc::c_int;
        // SAFETY: the kernel writes at most `room` events.
        unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), events.as_mut_ptr(), room, millis) }
    }
}

/// Edges taken by one call.
const EVENTS_MAX: usize = 256;
/// The longest wait; who has waited so long looks around and waits again.
const A_DAY_SECS: u64 = 86_400;
