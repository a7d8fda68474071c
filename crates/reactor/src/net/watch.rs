//! Which sockets of this core have something to read, or room to write again: one epoll instance for all of them.
//!
//! ```text
//!  socket ──edge──► epoll ──one poll on the ring──► driver task ──flags, wakers──► the tasks that wait
//! ```
//!
//! Polling each socket on the ring costs a submission and a completion per read. Here a socket is registered once, edge
//! triggered, and a turn of the loop costs one poll of the epoll descriptor and one `epoll_wait`, however many sockets
//! are ready (docs/decisions/0009-epoll-below-the-ring.md has the figures).
//!
//! A flag that is up means "try": it goes down when the kernel says that there is nothing, or has given less than was
//! asked for. What arrives after that raises an edge, which stays in the epoll instance until the driver takes it, so no
//! edge is lost between a read and the flag. A hang-up never goes down again, for it raises its edge only once.

use std::cell::{Cell, OnceCell, RefCell};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Waker};

use crate::readiness::readable;
use crate::task;

thread_local! {
    static WATCH: OnceCell<Rc<Watch>> = const { OnceCell::new() };
}

/// All sockets of one core that somebody has waited on.
struct Watch {
    epoll: OwnedFd,
    places: RefCell<Places>,
}

#[derive(Default)]
struct Places {
    watched: Vec<Option<Rc<Watched>>>,
    free: Vec<usize>,
}

/// What is known of one socket.
#[derive(Debug)]
pub(super) struct Watched {
    place: usize,
    pub(super) reading: Side,
    pub(super) writing: Side,
    hung_up: Cell<bool>,
}

/// One direction of a socket.
#[derive(Debug)]
pub(super) struct Side {
    may_go: Cell<bool>,
    waiter: RefCell<Option<Waker>>,
}

impl Watched {
    /// Begins to watch `fd` on this core. Errors: the kernel's, when it has no memory or descriptors for it.
    pub(super) fn new(fd: BorrowedFd<'_>) -> io::Result<Rc<Self>> {
        let watch = Watch::of_this_core()?;
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
    }

    /// A read gave less than was asked for: nothing more is there, unless the peer has ended its side.
    #[inline]
    pub(super) fn drained(&self) {
        self.reading.may_go.set(self.hung_up.get());
    }

    /// Stops watching; `fd` is the one that was given. An edge that is on its way finds nobody.
    pub(super) fn forget(&self, fd: BorrowedFd<'_>) {
        WATCH.with(|watch| {
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
    pub(super) fn may_go(&self, cx: &Context<'_>) -> bool {
        if !self.may_go.get() {
            self.wait(cx);
        }
        self.may_go.get()
    }

    /// The kernel said that there is nothing: the task is woken when there is.
    pub(super) fn blocked(&self, cx: &Context<'_>) {
        self.may_go.set(false);
        self.wait(cx);
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

impl Watch {
    fn of_this_core() -> io::Result<Rc<Self>> {
        if let Some(watch) = WATCH.with(|watch| watch.get().cloned()) {
            return Ok(watch);
        }
        // SAFETY: takes a flag, gives a descriptor or an error.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call succeeded, so `fd` is a new descriptor that nobody else owns.
        let epoll = unsafe { OwnedFd::from_raw_fd(fd) };
        let watch = Rc::new(Self { epoll, places: RefCell::default() });
        WATCH.with(|slot| slot.set(Rc::clone(&watch))).ok().expect("a core makes its watch once");
        task::spawn(drive(Rc::clone(&watch)));
        Ok(watch)
    }

    fn add(&self, fd: BorrowedFd<'_>, place: usize) -> io::Result<()> {
        let events = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET;
        let mut event = libc::epoll_event { events: events as u32, u64: place as u64 };
        // SAFETY: both descriptors are open, and the event is only read.
        let failed = unsafe {
            libc::epoll_ctl(self.epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd.as_raw_fd(), &mut event)
        };
        if failed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Takes the edges that there are, without waiting. Returns how many.
    fn take(&self, events: &mut [libc::epoll_event; EVENTS_MAX]) -> usize {
        let room = EVENTS_MAX as libc::c_int;
        // SAFETY: the kernel writes at most `room` events.
        let taken = unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), events.as_mut_ptr(), room, 0) };
        // Only a signal interrupts a call that does not wait, and signals are blocked; then nothing was taken.
        let taken = usize::try_from(taken).unwrap_or(0);
        for event in &events[..taken] {
            let place = event.u64 as usize;
            // The socket may have been closed, or its place be another's by now: then this is one try too many.
            let watched = self.places.borrow().watched.get(place).cloned().flatten();
            if let Some(watched) = watched {
                watched.take(event.events);
            }
        }
        taken
    }
}

/// Takes edges for as long as the core runs.
async fn drive(watch: Rc<Watch>) {
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS_MAX];
    loop {
        if let Err(error) = readable(watch.epoll.as_fd()).await {
            // Out of descriptors: sockets that are open go on as soon as one is free.
            tracing::error!(%error, "sockets cannot be watched");
            crate::timer::sleep(SHORTAGE_PAUSE).await;
        }
        // While there are edges the woken tasks run and epoll is asked again, which costs less than the ring; but timers
        // and other cores are on the ring.
        for _ in 0..ROUNDS_OFF_THE_RING {
            if watch.take(&mut events) == 0 {
                break;
            }
            // Tasks read in their first turn and answer in their second.
            for _ in 0..2 {
                futures_lite::future::yield_now().await;
            }
        }
    }
}

/// How often edges are taken before the ring has its turn.
const ROUNDS_OFF_THE_RING: usize = 4;
/// Edges taken by one call.
const EVENTS_MAX: usize = 256;
/// How long the driver waits when the process is out of descriptors.
const SHORTAGE_PAUSE: std::time::Duration = std::time::Duration::from_millis(10);
