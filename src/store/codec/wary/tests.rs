use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

use super::has_map;

#[derive(Serialize, Deserialize, Schema)]
enum Plain {
    Unit,
    Newtype(Option<u8>),
    Tuple(u8, [u8; 2]),
    Struct { a: (u8, u8) },
}

#[test]
fn without_a_map_there_is_no_detour() {
    assert!(![has_map(<()>::SCHEMA), has_map(u8::SCHEMA), has_map(Plain::SCHEMA)].contains(&true));
}

#[cfg(feature = "alloc")]
#[test]
fn a_map_is_found_wherever_it_is() {
    extern crate alloc;
    use alloc::{
        collections::BTreeMap,
        string::{String, ToString},
        vec,
        vec::Vec,
    };

    use crate::store::round_trip;

    type Map = BTreeMap<u8, String>;

    #[derive(Serialize, Deserialize, Schema)]
    struct Newtype(Map);

    #[derive(Serialize, Deserialize, Schema)]
    struct Tuple(u8, Map);

    #[derive(Serialize, Deserialize, Schema)]
    struct Struct {
        first: u8,
        map: Map,
    }

    #[derive(Serialize, Deserialize, Schema)]
    struct Unit;

    #[derive(Serialize, Deserialize, Schema)]
    enum Enum {
        Unit(Unit, Plain),
        Newtype(Newtype),
        Tuple(u8, Tuple),
        Struct { first: u8, last: Struct },
    }

    #[derive(Serialize, Deserialize, Schema)]
    enum Last {
        Unit,
        Struct { first: u8, map: Map },
    }

    assert!(!has_map(Vec::<Option<String>>::SCHEMA) && !has_map(Unit::SCHEMA));
    for schema in [Map::SCHEMA, Option::<Map>::SCHEMA, Vec::<Map>::SCHEMA, <(u8, Map)>::SCHEMA, <[Map; 1]>::SCHEMA] {
        assert!(has_map(schema), "{schema:?}");
    }
    for schema in [Newtype::SCHEMA, Tuple::SCHEMA, Struct::SCHEMA, Enum::SCHEMA, Last::SCHEMA] {
        assert!(has_map(schema), "{schema:?}");
    }
    // And what has one comes back as it was, whatever it is made of.
    let map = Map::from([(1, "one".to_string()), (2, String::new())]);
    let all = vec![
        Enum::Unit(Unit, Plain::Unit),
        Enum::Unit(Unit, Plain::Newtype(Some(3))),
        Enum::Unit(Unit, Plain::Tuple(3, [4, 5])),
        Enum::Unit(Unit, Plain::Struct { a: (3, 4) }),
        Enum::Newtype(Newtype(map.clone())),
        Enum::Tuple(7, Tuple(8, map.clone())),
        Enum::Struct { first: 9, last: Struct { first: 1, map: map.clone() } },
    ];
    let last = [Last::Unit, Last::Struct { first: 3, map }];
    assert_eq!(round_trip(&(all, last, Some(1.5_f64), Option::<char>::None, "text".to_string())), Ok(()));
}
