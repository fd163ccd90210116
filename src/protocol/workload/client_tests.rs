//! What a client does with answers, silence and refusals.

use super::*;
use crate::base::machine::Token;
use crate::protocol::workload::arrival::Gaps;

#[derive(Default)]
struct World {
    sent: Vec<(ProcessId, HttpMsg)>,
    armed: [Option<Duration>; 3],
    events: Vec<ClientEvent>,
}

impl Fx<Client> for World {
    fn send(&mut self, to: ProcessId, msg: HttpMsg) {
        self.sent.push((to, msg));
    }
    fn arm(&mut self, timer: ClientTimer, delay: Duration) {
        self.armed[timer.slot()] = Some(delay);
    }
    fn disarm(&mut self, timer: ClientTimer) {
        self.armed[timer.slot()] = None;
    }
    fn write(&mut self, _: Token, _: u32) {}
    fn compute(&mut self, _: Token, _: Duration) {}
    fn emit(&mut self, event: ClientEvent) {
        self.events.push(event);
    }
}

const BALANCER: ProcessId = ProcessId(9);

fn client(retry: Option<RetryPolicy>) -> (Client, World) {
    let config = ClientConfig { retry, ..ClientConfig::new(1, RouteId(0)) };
    let draws = Draws::new(1, "client");
    let mut client = Client::new(config, Arrivals::constant(Gaps::Equal, 1.0, draws), draws);
    let mut world = World::default();
    client.handle(Time::ZERO, Input::Start, &mut world);
    assert_eq!(world.events, [ClientEvent::Resolve]);
    client.resolved(Time::ZERO, &[BALANCER], Duration::from_secs(60));
    (client, world)
}

fn seconds(s: u64) -> Time {
    Time::ZERO + Duration::from_secs(s)
}

fn number(sequence: u64, attempt: u8) -> RequestNumber {
    RequestNumber::new(1, sequence, attempt)
}

fn ended(world: &World) -> Vec<(u64, u8, Outcome)> {
    let ended = world.events.iter().filter_map(|event| match event {
        ClientEvent::Ended { number, outcome, .. } => Some((number.sequence(), number.attempt(), *outcome)),
        ClientEvent::Issued { .. } | ClientEvent::Retried { .. } | ClientEvent::Resolve => None,
    });
    ended.collect()
}

#[test]
fn a_request_connects_asks_and_ends_once() {
    let (mut client, mut world) = client(None);
    client.handle(seconds(1), Input::Fired(ClientTimer::Arrival), &mut world);
    let (id, number) = (0, number(0, 0));
    assert_eq!(world.sent, [(BALANCER, HttpMsg::Connect { id, number, port: 80 })]);
    let mut tell = |msg| client.handle(seconds(1), Input::Message { from: BALANCER, msg }, &mut world);
    tell(HttpMsg::Accepted { id, number });
    tell(HttpMsg::Response { id, number, status: 404 });
    tell(HttpMsg::Response { id, number, status: 200 });
    assert_eq!(ended(&world), [(0, 0, Outcome::Status(404))]);
    client.handle(seconds(2), Input::Fired(ClientTimer::Arrival), &mut world);
    assert!(matches!(world.sent.last(), Some((_, HttpMsg::Request { .. }))), "the connection was kept");
}

#[test]
fn silence_ends_in_a_timeout_and_a_cancellation() {
    let (mut client, mut world) = client(None);
    client.handle(seconds(1), Input::Fired(ClientTimer::Arrival), &mut world);
    assert_eq!(world.armed[ClientTimer::TimeoutDue.slot()], Some(Duration::from_secs(2)));
    client.handle(seconds(3), Input::Fired(ClientTimer::TimeoutDue), &mut world);
    assert!(matches!(world.sent.last(), Some((BALANCER, HttpMsg::Cancel { .. }))));
    assert_eq!(ended(&world), [(0, 0, Outcome::Timeout)]);
    assert_eq!(client.open(), 0);
}

#[test]
fn retries_use_up_attempts_and_budget() {
    let retry = |budget| RetryPolicy {
        attempts_max: 3,
        backoff: Duration::from_millis(100),
        backoff_max: Duration::from_secs(1),
        budget,
    };
    let fail_all = |budget: Option<f64>| {
        let (mut client, mut world) = client(Some(retry(budget.and_then(Ratio::new))));
        for second in 1..=20 {
            client.handle(seconds(second), Input::Fired(ClientTimer::Arrival), &mut world);
            for _ in 0..3 {
                client.handle(seconds(second), Input::Refused { to: BALANCER }, &mut world);
                let later = seconds(second) + Duration::from_millis(900);
                client.handle(later, Input::Fired(ClientTimer::RetryDue), &mut world);
            }
        }
        assert_eq!(client.open(), 0);
        let retried = world.events.iter().filter(|event| matches!(event, ClientEvent::Retried { .. })).count();
        (ended(&world).len(), retried)
    };
    assert_eq!(fail_all(None), (20, 40));
    assert_eq!(fail_all(Some(0.1)), (20, 2));
    assert_eq!(fail_all(Some(0.050_05)), (20, 1));
    assert_eq!(fail_all(Some(0.000_9)), (20, 0));
}

#[test]
fn an_old_answer_serves_until_the_name_is_resolved_anew() {
    let (mut client, mut world) = client(None);
    world.events.clear();
    client.handle(seconds(61), Input::Fired(ClientTimer::Arrival), &mut world);
    assert!(world.events.contains(&ClientEvent::Resolve));
    assert_eq!(world.sent.len(), 1);
    client.resolved(seconds(61), &[], Duration::from_secs(60));
    client.handle(seconds(62), Input::Fired(ClientTimer::Arrival), &mut world);
    assert_eq!(ended(&world), [(1, 0, Outcome::Unresolved)]);
}

#[test]
fn a_client_that_dies_abandons_what_it_had_begun() {
    let (mut client, mut world) = client(None);
    client.handle(seconds(1), Input::Fired(ClientTimer::Arrival), &mut world);
    client.handle(seconds(2), Input::Fired(ClientTimer::Arrival), &mut world);
    client.reboot(seconds(2), &Kept::default());
    client.handle(seconds(5), Input::Start, &mut world);
    assert_eq!(ended(&world), [(0, 0, Outcome::Abandoned), (1, 0, Outcome::Abandoned)]);
}
