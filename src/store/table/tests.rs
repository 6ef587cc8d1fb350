extern crate std;
use std::vec::Vec;

use super::{
    super::{EncodeError, raw::Raw},
    testing::output,
    *,
};

impl Buffer for u8 {
    type Spare = ();

    fn bytes(&self) -> &[u8] {
        core::slice::from_ref(self)
    }

    fn fill(&mut self, value: impl Encode) -> Result<usize, StoreError> {
        value.encode(core::slice::from_mut(self)).map_err(|error| refused(value, error, 1))
    }

    fn refill(&mut self, value: impl Encode, (): &mut ()) -> Result<usize, StoreError> {
        self.fill(value)
    }
}

struct Four([Cell<u8>; 4]);

impl Cells for Four {
    type Buffer = u8;

    fn all(&self) -> &[Cell<u8>] {
        &self.0
    }

    fn all_mut(&mut self) -> &mut [Cell<u8>] {
        &mut self.0
    }

    fn reach(&mut self, len: usize) -> bool {
        len <= 4
    }
}

#[test]
fn nothing_of_an_old_run_comes_back_when_the_epochs_begin_again() {
    let mut table = Table::new(Four([const { Cell::vacant(0) }; 4]), ());
    table.clear();
    assert_eq!(table.epoch, 1);
    table.put(output("a", 1, 0), Raw(b"x"), b"y").unwrap();
    table.epoch = u32::MAX;
    table.clear();
    assert_eq!(table.epoch, 1);
    assert!(table.is_empty() && !table.holds(output("a", 1, 0)) && table.ledger().is_empty());
}

#[test]
fn a_table_is_exact_again_once_nothing_is_astray() {
    let mut table = Table::new(Four([const { Cell::vacant(0) }; 4]), ());
    table.clear();
    for instance in 0..3 {
        table.put(output("a", 0, instance), Raw(b"x"), &[]).unwrap();
    }
    assert_eq!(table.astray, 2);
    table.discard(|slot| slot.instance > 0);
    assert_eq!(table.astray, 0);
    table.discard(|_| true);
    assert_eq!((table.astray, table.standing()), (0, Standing::Empty));
}

#[test]
fn a_predicate_that_panics_discards_nothing() {
    let mut table = Table::new(Four([const { Cell::vacant(0) }; 4]), ());
    table.clear();
    for instance in 0..3 {
        table.put(output("a", 0, instance), Raw(b"x"), &[]).unwrap();
    }
    let mut asked = 0;
    let outcome = std::panic::catch_unwind(core::panic::AssertUnwindSafe(|| {
        table.discard(|_| {
            asked += 1;
            assert!(asked < 3);
            true
        });
    }));
    assert!(outcome.is_err());
    let mut left = Vec::new();
    table.each_slot(|slot| left.push(slot.instance));
    left.sort_unstable();
    assert_eq!(left, [0, 1, 2]);
    table.discard(|slot| slot.instance == 1);
    assert_eq!(table.count, 2);
}

#[test]
fn an_error_of_the_value_is_told_from_a_lack_of_room() {
    assert_eq!(refused(Raw(b"abc"), EncodeError::NoRoom, 2).kind(), StoreErrorKind::TooLarge { len: 3, max: 2 });
    assert_eq!(refused(Raw(b"abc"), EncodeError::NotFaithful, 2).kind(), StoreErrorKind::Unserialisable);
}
