use proptest::prelude::*;
use quell_actors::store::BatchId;

use super::{super::journal, *};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes_that_nobody_wrote_are_refused_and_never_a_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        seed: u64,
    ) {
        let _ = unseal(seed, &bytes).map(<[u8]>::len);
        for event in StretchReader::new(&bytes) {
            let _ = event.map(|(_, json)| kind(json));
        }
        let mut cursor = Cursor(&bytes);
        while cursor.varint().is_ok() {}
        // Behind a correct checksum, as an attacker could make it.
        let mut row = Vec::new();
        journal::begin_row(&mut row);
        row.extend_from_slice(&bytes);
        journal::seal_row(seed, &mut row);
        for entry in journal::entries(seed, &row).unwrap() {
            let _ = entry.map(|entry| StretchReader::new(entry.stretch).count());
        }
    }

    #[test]
    fn a_stretch_is_read_as_it_was_written(events in proptest::collection::vec((any::<u64>(), ".{0,40}"), 0..40)) {
        let (mut out, mut writer) = (Vec::new(), StretchWriter::default());
        for (at, text) in &events {
            writer.push(&mut out, Timestamp::from_millis(*at), text.as_bytes());
        }
        let read: Vec<_> = StretchReader::new(&out)
            .map(|event| event.map(|(at, text)| (at.as_millis(), text.to_vec())).unwrap())
            .collect();
        let written: Vec<_> = events.into_iter().map(|(at, text)| (at, text.into_bytes())).collect();
        prop_assert_eq!(read, written);
    }

    #[test]
    fn a_journal_row_is_read_as_it_was_written(
        entries in proptest::collection::vec((any::<[u8; 16]>(), any::<u128>(), any::<u64>(), any::<u64>(), 0..1_000u64, ".{0,40}"), 0..20),
        id: u64,
    ) {
        let entries: Vec<_> = entries.iter().map(|(run, batch, epoch, first, more, text)| journal::Entry {
            run: RunId::from(uuid::Uuid::from_bytes(*run)),
            batch: BatchId(*batch),
            epoch: *epoch,
            first: *first / 2,
            last: *first / 2 + *more,
            status: (*more % 2 == 0).then_some(quell_actors::RunStatus::Paused),
            stretch: text.as_bytes(),
        }).collect();
        let mut row = Vec::new();
        journal::begin_row(&mut row);
        entries.iter().for_each(|entry| entry.put(&mut row));
        journal::seal_row(id, &mut row);
        let read: Vec<_> = journal::entries(id, &row).unwrap().map(Result::unwrap).collect();
        prop_assert_eq!(read, entries);
        prop_assert!(journal::entries(id ^ 1, &row).is_err(), "the row of another number");
    }

    #[test]
    fn a_bit_that_flipped_is_found(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        seed: u64,
        at: prop::sample::Index,
        bit in 0..8u8,
    ) {
        let mut blob = vec![0; SEAL];
        blob.extend_from_slice(&bytes);
        seal(seed, &mut blob);
        prop_assert_eq!(unseal(seed, &blob).unwrap(), &bytes[..]);
        let at = at.index(blob.len());
        blob[at] ^= 1 << bit;
        prop_assert!(unseal(seed, &blob).is_err());
    }
}

#[test]
fn a_number_takes_as_many_bytes_as_it_needs_and_no_more_than_there_are() {
    for n in [0, 1, 127, 128, 300, 1 << 35, u64::MAX - 1, u64::MAX] {
        let mut out = Vec::new();
        put_varint(&mut out, n);
        assert_eq!(Cursor(&out).varint(), Ok(n));
        assert!(Cursor(&out[..out.len() - 1]).varint().is_err());
    }
    assert!(Cursor(&[0xff; 10]).varint().is_err(), "more than 64 bits");
    assert!(Cursor(&[0x80; 11]).varint().is_err(), "no end");
}
