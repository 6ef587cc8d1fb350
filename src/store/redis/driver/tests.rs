use tokio::sync::mpsc;

use super::{super::RedisStore, *};

#[test]
fn a_lease_that_cannot_be_renewed_is_no_reason_to_stay_awake() {
    let store = RedisStore::new("redis://127.0.0.1/", Duration::from_secs(60)).unwrap();
    let (jobs, inbox) = mpsc::unbounded_channel();
    let mut driver = Driver::new(Arc::clone(&store.settings), inbox, jobs.downgrade());
    let now = Instant::now();
    driver.held.insert("token".to_string(), Arc::new(Hold::new("run".into(), "token".to_string(), now)));
    assert_eq!(driver.next_time(now, true), now);
    assert!(driver.next_time(now, false) > now);
}
