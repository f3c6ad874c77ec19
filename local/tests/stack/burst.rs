//! Simulates a burst: 100,000 installs of one campaign in a minute, faster than its index can absorb them.
//!
//! Time is virtual. The queue, its event source and their limits come from the template. Concurrency, retries and
//! timeouts come from the store. The table absorbs as much as one DynamoDB partition of the index. Sources: Amazon
//! DynamoDB developer guide, "Burst and adaptive capacity" (1,000 write units per second and partition); AWS Lambda
//! developer guide, "Using Lambda with Amazon SQS"; AWS SDKs reference guide, "Retry behavior" (full jitter).

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

use local::template::Template;
use store::limits;

const INSTALLS: usize = 100_000;
const BURST: Micros = 60_000_000;
/// The number of writes that the partition of the index absorbs per second.
const WRITES_A_SECOND: u64 = 1_000;
/// The duration of a call, successful or throttled.
const CALL: Micros = 5_000;

/// Virtual time, in microseconds.
type Micros = u64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Arrives { message: usize },
    WindowCloses,
    Calls { batch: usize, message: usize, attempt: u32, since: Micros },
    Returns { message: usize },
}

/// A batch that a function is applying.
struct Batch {
    waiting: VecDeque<usize>,
    under_way: usize,
    received_at: Micros,
    /// Whether a call failed after all its attempts. If so, the remaining messages are not tried.
    gave_up: bool,
}

struct Simulation {
    now: Micros,
    agenda: BinaryHeap<Reverse<(Micros, u64, Happening)>>,
    sequence: u64,
    random: u64,
    ready: VecDeque<(usize, Micros)>,
    received: Vec<u32>,
    batches: Vec<Batch>,
    running: usize,
    /// The time up to which the table's capacity is used up.
    spent_until: Micros,
    listed: usize,
    dead: usize,
    throttled: u64,
    returned: u64,
    queue: local::template::Queue,
}

impl Simulation {
    fn of(queue: local::template::Queue) -> Self {
        let mut simulation = Self {
            now: 0,
            agenda: BinaryHeap::new(),
            sequence: 0,
            random: 0x9e37_79b9_7f4a_7c15,
            ready: VecDeque::new(),
            received: vec![0; INSTALLS],
            batches: Vec::new(),
            running: 0,
            spent_until: 0,
            listed: 0,
            dead: 0,
            throttled: 0,
            returned: 0,
            queue,
        };
        for message in 0..INSTALLS {
            let at = BURST * message as u64 / INSTALLS as u64;
            simulation.plan(at, Happening::Arrives { message });
        }
        simulation
    }

    fn plan(&mut self, at: Micros, happening: Happening) {
        self.sequence += 1;
        self.agenda.push(Reverse((at, self.sequence, happening)));
    }

    fn run(&mut self) {
        while let Some(Reverse((at, _, happening))) = self.agenda.pop() {
            self.now = at;
            match happening {
                Happening::Arrives { message } | Happening::Returns { message } => {
                    self.ready.push_back((message, at));
                    let window = micros(self.queue.batching_window);
                    self.plan(at + window, Happening::WindowCloses);
                }
                Happening::WindowCloses => {}
                Happening::Calls { batch, message, attempt, since } => self.call(batch, message, attempt, since),
            }
            self.receive();
        }
    }

    /// Hands batches to functions, up to the maximum concurrency.
    fn receive(&mut self) {
        while self.running < self.queue.maximum_concurrency {
            let window_closed =
                self.ready.front().is_some_and(|(_, since)| self.now >= since + micros(self.queue.batching_window));
            if self.ready.len() < self.queue.batch_size && !window_closed {
                return;
            }
            let size = self.queue.batch_size.min(self.ready.len());
            let mut waiting = VecDeque::new();
            for (message, _) in self.ready.drain(..size) {
                self.received[message] += 1;
                if self.received[message] > self.queue.max_receive_count {
                    self.dead += 1;
                } else {
                    waiting.push_back(message);
                }
            }
            self.running += 1;
            self.batches.push(Batch { waiting, under_way: 0, received_at: self.now, gave_up: false });
            let batch = self.batches.len() - 1;
            for _ in 0..limits::CONCURRENCY {
                self.next_of(batch);
            }
            self.end_if_done(batch);
        }
    }

    /// Starts the next message of a batch. If the batch gave up, returns all its remaining messages to the queue.
    fn next_of(&mut self, batch: usize) {
        let now = self.now;
        let of = &mut self.batches[batch];
        if of.gave_up {
            let (left, visible) =
                (std::mem::take(&mut of.waiting), of.received_at + micros(self.queue.visibility_timeout));
            for message in left {
                self.returned += 1;
                self.plan(visible, Happening::Returns { message });
            }
        } else if let Some(message) = of.waiting.pop_front() {
            of.under_way += 1;
            self.plan(now + CALL, Happening::Calls { batch, message, attempt: 1, since: now });
        }
    }

    fn call(&mut self, batch: usize, message: usize, attempt: u32, since: Micros) {
        if self.spent_until <= self.now {
            self.spent_until = self.spent_until.max(self.now.saturating_sub(1_000_000)) + 1_000_000 / WRITES_A_SECOND;
            self.listed += 1;
        } else {
            self.throttled += 1;
            let again = self.now + self.jitter(attempt) + CALL;
            if attempt < limits::ATTEMPTS && again - since < micros(limits::CALL_TIMEOUT) {
                self.plan(again, Happening::Calls { batch, message, attempt: attempt + 1, since });
                return;
            }
            self.returned += 1;
            let of = &mut self.batches[batch];
            of.gave_up = true;
            let visible = of.received_at + micros(self.queue.visibility_timeout);
            self.plan(visible, Happening::Returns { message });
        }
        self.batches[batch].under_way -= 1;
        self.next_of(batch);
        self.end_if_done(batch);
    }

    fn end_if_done(&mut self, batch: usize) {
        let Batch { waiting, under_way, .. } = &self.batches[batch];
        if waiting.is_empty() && *under_way == 0 {
            self.running -= 1;
        }
    }

    /// Returns a random wait. Its upper limit is the initial backoff, doubled with each attempt, but at most the
    /// maximum backoff.
    fn jitter(&mut self, attempt: u32) -> Micros {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let max = (micros(limits::INITIAL_BACKOFF) << (attempt - 1)).min(micros(limits::MAX_BACKOFF));
        self.random % max
    }
}

fn micros(duration: std::time::Duration) -> Micros {
    u64::try_from(duration.as_micros()).unwrap()
}

#[test]
fn a_burst_waits_in_the_queue_and_is_listed_as_fast_as_the_index_absorbs_it() {
    let template = Template::read(&Template::default_path()).unwrap();
    let mut burst = Simulation::of(template.queues[0].clone());
    burst.run();
    let Simulation { now, listed, dead, throttled, returned, received, .. } = burst;
    let max_received = received.into_iter().max().unwrap_or_default();
    println!(
        "{INSTALLS} installs in {} s: all listed after {} s, {throttled} calls throttled, {returned} messages returned \
         to the queue, no message received more than {max_received} times, {dead} dead",
        BURST / 1_000_000,
        now / 1_000_000
    );
    assert_eq!((listed, dead), (INSTALLS, 0), "no install is lost, and no message is dead");
    assert!(max_received <= template.queues[0].max_receive_count / 2, "far from the dead letters: {max_received}");
    let min = INSTALLS as u64 / WRITES_A_SECOND * 1_000_000;
    assert!(now >= min && now < min * 12 / 10, "listed after {} s", now / 1_000_000);
}
