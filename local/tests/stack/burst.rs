//! Simulates bursts: installs of a campaign that arrive faster than its index can absorb them, alone and together with
//! those of another campaign.
//!
//! Time is virtual. The queue, its event source and their limits come from the template. Concurrency, retries and
//! timeouts come from the store. Each campaign has one DynamoDB partition of the index. Sources: Amazon DynamoDB
//! developer guide, "Burst and adaptive capacity" (1,000 write units per second and partition); AWS Lambda developer
//! guide, "Using Lambda with Amazon SQS"; AWS SDKs reference guide, "Retry behavior" (full jitter).

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, VecDeque},
};

use local::template::{Queue, Template};
use process::deadline;
use store::limits;

/// The number of writes that a partition of the index absorbs per second.
const WRITES_A_SECOND: u64 = 1_000;
/// The duration of a call, successful or throttled.
const CALL: Micros = 5_000;
const SECOND: Micros = 1_000_000;

/// Virtual time, in microseconds.
type Micros = u64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Arrives { message: usize },
    WindowCloses,
    Calls { batch: usize, message: usize, attempt: u32, since: Micros },
    Returns { message: usize },
}

/// The installs of a campaign, and how fast its partition absorbs them.
#[derive(Clone, Copy)]
struct Load {
    installs: usize,
    /// How long the installs arrive, at an even rate.
    during: Micros,
    writes_a_second: u64,
}

/// The partition of a campaign.
struct Partition {
    writes_a_second: u64,
    /// The time up to which its capacity is used up.
    spent_until: Micros,
}

struct Message {
    campaign: usize,
    received: u32,
    is_listed: bool,
}

/// A batch that a function is applying.
struct Batch {
    waiting: VecDeque<usize>,
    under_way: usize,
    received_at: Micros,
    /// The campaigns that a call failed for after all its attempts. Their remaining messages are not tried.
    throttled: BTreeSet<usize>,
}

struct Simulation {
    now: Micros,
    agenda: BinaryHeap<Reverse<(Micros, u64, Happening)>>,
    sequence: u64,
    random: u64,
    ready: VecDeque<(usize, Micros)>,
    messages: Vec<Message>,
    partitions: Vec<Partition>,
    batches: Vec<Batch>,
    running: usize,
    throttled: u64,
    returned: u64,
    queue: Queue,
    /// The time after which a function begins no call.
    last_call: Micros,
}

impl Simulation {
    /// Runs the simulation until every message is applied or dead.
    fn of(loads: &[Load]) -> Self {
        let template = Template::read(&Template::default_path()).unwrap();
        let queue = template.queues[0].clone();
        let last_call = micros(template.functions[&queue.function].timeout)
            - micros(deadline::ANSWER_MARGIN + limits::CALL_TIMEOUT);
        let mut simulation = Self {
            now: 0,
            agenda: BinaryHeap::new(),
            sequence: 0,
            random: 0x9e37_79b9_7f4a_7c15,
            ready: VecDeque::new(),
            messages: Vec::new(),
            partitions: Vec::new(),
            batches: Vec::new(),
            running: 0,
            throttled: 0,
            returned: 0,
            queue,
            last_call,
        };
        for (campaign, Load { installs, during, writes_a_second }) in loads.iter().copied().enumerate() {
            simulation.partitions.push(Partition { writes_a_second, spent_until: 0 });
            for number in 0..installs {
                let message = simulation.messages.len();
                simulation.messages.push(Message { campaign, received: 0, is_listed: false });
                simulation.plan(during * number as u64 / installs as u64, Happening::Arrives { message });
            }
        }
        simulation.run();
        simulation
    }

    fn messages_of(&self, campaign: usize) -> impl Iterator<Item = &Message> {
        self.messages.iter().filter(move |message| message.campaign == campaign)
    }

    fn listed(&self, campaign: usize) -> usize {
        self.messages_of(campaign).filter(|message| message.is_listed).count()
    }

    fn max_received(&self, campaign: usize) -> u32 {
        self.messages_of(campaign).map(|message| message.received).max().unwrap_or_default()
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
                // A message that was received too often is moved to the dead letters instead.
                if self.messages[message].received < self.queue.max_receive_count {
                    self.messages[message].received += 1;
                    waiting.push_back(message);
                }
            }
            self.running += 1;
            self.batches.push(Batch { waiting, under_way: 0, received_at: self.now, throttled: BTreeSet::new() });
            let batch = self.batches.len() - 1;
            for _ in 0..limits::CONCURRENCY {
                self.next_of(batch);
            }
            self.end_if_done(batch);
        }
    }

    /// Starts the next message of a batch that may be tried, and returns those before it to the queue.
    fn next_of(&mut self, batch: usize) {
        while let Some(message) = self.batches[batch].waiting.pop_front() {
            let Batch { received_at, throttled, under_way, .. } = &mut self.batches[batch];
            if throttled.contains(&self.messages[message].campaign) || self.now > *received_at + self.last_call {
                self.return_to_queue(batch, message);
            } else {
                *under_way += 1;
                let since = self.now;
                self.plan(since + CALL, Happening::Calls { batch, message, attempt: 1, since });
                return;
            }
        }
    }

    fn return_to_queue(&mut self, batch: usize, message: usize) {
        self.returned += 1;
        let visible = self.batches[batch].received_at + micros(self.queue.visibility_timeout);
        self.plan(visible, Happening::Returns { message });
    }

    fn call(&mut self, batch: usize, message: usize, attempt: u32, since: Micros) {
        let campaign = self.messages[message].campaign;
        let Partition { writes_a_second, spent_until } = &mut self.partitions[campaign];
        if *spent_until <= self.now {
            *spent_until = (*spent_until).max(self.now.saturating_sub(SECOND)) + SECOND / *writes_a_second;
            self.messages[message].is_listed = true;
        } else {
            self.throttled += 1;
            let again = self.now + self.jitter(attempt) + CALL;
            if attempt < limits::ATTEMPTS && again - since < micros(limits::CALL_TIMEOUT) {
                self.plan(again, Happening::Calls { batch, message, attempt: attempt + 1, since });
                return;
            }
            self.batches[batch].throttled.insert(campaign);
            self.return_to_queue(batch, message);
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
    const INSTALLS: usize = 100_000;
    let load = Load { installs: INSTALLS, during: 60 * SECOND, writes_a_second: WRITES_A_SECOND };
    let burst = Simulation::of(&[load]);
    let (max_received, seconds) = (burst.max_received(0), burst.now / SECOND);
    println!(
        "{INSTALLS} installs in a minute: all listed after {seconds} s, {} calls throttled, {} messages returned to \
         the queue, no message received more than {max_received} times",
        burst.throttled, burst.returned
    );
    assert_eq!(burst.listed(0), INSTALLS, "no install is lost or dead");
    assert!(max_received <= burst.queue.max_receive_count / 2, "far from the dead letters: {max_received}");
    let min = INSTALLS as u64 / WRITES_A_SECOND;
    assert!(seconds >= min && seconds < min * 12 / 10, "listed after {seconds} s");
}

/// Of the first campaign, twice as many installs arrive for an hour as its partition absorbs. The partition is much
/// slower than DynamoDB's, so that most of its calls fail after all their attempts.
///
/// This checks the numbers with a model of the rule that a throttled campaign sends back only its own messages.
/// `faults.rs` checks that the code keeps the rule.
#[test]
fn a_campaign_over_its_limit_for_an_hour_sends_back_no_message_of_another() {
    const HOUR: Micros = 3_600 * SECOND;
    let over = Load { installs: 72_000, during: HOUR, writes_a_second: 10 };
    let trickle = Load { installs: 7_200, during: HOUR, writes_a_second: WRITES_A_SECOND };
    let burst = Simulation::of(&[over, trickle]);
    println!(
        "{} messages returned to the queue, {} installs of the first campaign dead after {} s",
        burst.returned,
        over.installs - burst.listed(0),
        burst.now / SECOND
    );
    assert!(burst.max_received(0) > burst.queue.max_receive_count / 2, "the first campaign is over its limit");
    assert_eq!((burst.listed(1), burst.max_received(1)), (trickle.installs, 1));
}
