//! Records of many MiB.

use futures_util::future::join_all;
use tempfile::tempdir;

use crate::support::{
    binary::{Binary, runboard},
    visitor::Visitor,
};

const MIB: usize = 1 << 20;

/// A file with this record behind many others and in front of one.
fn file_with(record: &[u8]) -> Vec<u8> {
    [&b"a,b\n"[..], &b"1,2\n".repeat(100_000)[..], record, b"\n3,4\n"].concat()
}

/// Uses the real program, whose memory can be measured.
#[tokio::test]
async fn several_long_records_at_once_take_little_memory() {
    let data = tempdir().unwrap();
    let server = Binary::start(&mut runboard(data.path()));
    let mut visitor = Visitor::new(&server.origin);
    visitor.sign_up("mira@example.org").await;
    let before = server.most_resident();
    let text = [&[b'x'; 62][..], b"\"\""].concat().repeat(15 * MIB / 64);
    let files = [
        // Quotes in a column, quotes without a column, bytes that become three each, and a record that is accepted.
        (file_with(&[&b"1,\""[..], &text[..], b"\",x"].concat()), 1),
        (file_with(&[&b"1,2,\""[..], &text[..], b"\""].concat()), 1),
        (file_with(&[&b"1,"[..], &vec![0; 15 * MIB]].concat()), 1),
        (file_with(&[&b"1,\""[..], &text[..], b"\""].concat()), 0),
    ];
    let visitor = &visitor;
    join_all(files.iter().map(|(file, failed)| async move {
        let import = visitor.upload("long.csv", file).await;
        let panel = visitor.wait_for_state(&import, "Completed").await;
        assert_eq!(panel.counts(), (100_002 - failed, *failed));
    }))
    .await;
    let more = (server.most_resident() - before) / MIB as u64;
    assert!(more < 80, "{more} MiB more than before");
}
