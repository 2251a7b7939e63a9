//! Stored files, signed links, and the detection of binary files.

use std::{fs, io::ErrorKind, os::unix::fs::MetadataExt, path::Path, time::Duration};

use runboard::{
    base::{
        ids::{ImportId, RunId},
        time::UnixMillis,
    },
    files::{BinaryKind, Key, Link, LinkKey, Storage},
};
use url::Url;

const NOW: UnixMillis = UnixMillis(1_795_466_651_000);

fn link() -> (LinkKey, ImportId, Url) {
    let (key, import) = (LinkKey::new([7; 32]), ImportId::generate());
    let origin = Url::parse("http://127.0.0.1:8080").unwrap();
    let url = key.sign(&origin, import, NOW.plus(Duration::from_secs(60)));
    (key, import, url)
}

fn verify(key: &LinkKey, url: &Url, now: UnixMillis) -> Option<Link> {
    key.verify(url.path(), url.query().unwrap_or_default(), now)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_signed_link_opens_its_import_until_it_expires() {
    let (key, import, url) = link();
    assert_eq!(url.path(), format!("/files/{import}"));
    assert_eq!(verify(&key, &url, NOW), Some(Link { import }));
    assert_eq!(verify(&key, &url, NOW.plus(Duration::from_secs(59))), Some(Link { import }));
    assert_eq!(verify(&key, &url, NOW.plus(Duration::from_secs(60))), None);
}

#[test]
fn a_link_holds_under_another_address() {
    let (key, import, mut url) = link();
    url.set_host(Some("runboard.example")).unwrap();
    assert_eq!(verify(&key, &url, NOW), Some(Link { import }));
}

#[test]
fn a_link_that_was_changed_anywhere_is_refused() {
    let (key, import, url) = link();
    let (path, query) = (url.path(), url.query().unwrap());
    let other = format!("/files/{}", ImportId::generate());
    let later = query.replacen("exp=1", "exp=2", 1);
    let forged = format!("{}{}", &query[..query.len() - 1], if query.ends_with('0') { '1' } else { '0' });
    let short = &query[..query.len() - 2];
    let no_sig = query.split('&').next().unwrap();
    for (path, query) in [
        (other.as_str(), query),
        (path, later.as_str()),
        (path, forged.as_str()),
        (path, short),
        (path, no_sig),
        (path, ""),
        (&format!("{path}/"), query),
        (&format!("/x{path}"), query),
        (&format!("/{import}"), query),
        ("/files/", query),
        ("", query),
    ] {
        assert_eq!(key.verify(path, query, NOW), None, "{path}?{query}");
    }
    assert_eq!(verify(&LinkKey::new([8; 32]), &url, NOW), None, "another installation's key");
}

#[test]
fn a_link_that_was_signed_an_hour_ahead_opens_its_import() {
    let (key, import, _) = link();
    let origin = Url::parse("http://127.0.0.1:8080").unwrap();
    let ahead = NOW.plus(Duration::from_secs(3_600));
    let url = key.sign(&origin, import, ahead.plus(LinkKey::LIFETIME));
    assert_eq!(verify(&key, &url, NOW), Some(Link { import }));
}

#[tokio::test]
async fn an_upload_that_is_kept_is_stored_whole() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage::open(folder.path()).unwrap();
    let key = Key::upload(ImportId::generate());
    let mut incoming = storage.receive(key.clone(), 0).await.unwrap();
    let chunk = vec![b'x'; 100_000];
    for _ in 0..10 {
        incoming.write(&chunk).await.unwrap();
    }
    assert_eq!(incoming.size(), 1_000_000);
    assert_eq!(incoming.keep().await.unwrap(), 1_000_000);
    assert_eq!(fs::read(storage.local().unwrap().path(&key)).unwrap(), vec![b'x'; 1_000_000]);
    assert!(names(&folder.path().join("incoming")).is_empty());
}

#[tokio::test]
async fn an_upload_remembers_its_first_bytes_however_they_came() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage::open(folder.path()).unwrap();
    let mut incoming = storage.receive_upload(0).await.unwrap();
    let bytes: Vec<u8> = (0..=255).cycle().take(700).collect();
    for chunk in bytes.chunks(300) {
        incoming.write(chunk).await.unwrap();
    }
    assert_eq!(incoming.head(), &bytes[..512]);
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage::open(folder.path()).unwrap();
    let mut incoming = storage.receive_upload(0).await.unwrap();
    incoming.write(b"a,b\n").await.unwrap();
    assert_eq!(names(&folder.path().join("incoming")).len(), 1);
    drop(incoming);
    assert!(names(&folder.path().join("incoming")).is_empty());
}

#[tokio::test]
async fn an_upload_is_put_together_of_stored_files_and_their_fronts() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage::open(folder.path()).unwrap();
    let [first, second, whole] = [(); 3].map(|()| Key::upload(ImportId::generate()));
    let large = vec![b'y'; 1_000_000];
    fs::write(storage.local().unwrap().path(&first), "a,b\n1,2\n").unwrap();
    fs::write(storage.local().unwrap().path(&second), &large).unwrap();
    let mut incoming = storage.receive(whole.clone(), 0).await.unwrap();
    incoming.append(&first, 4).await.unwrap();
    incoming.append(&second, u64::MAX).await.unwrap();
    incoming.keep().await.unwrap();
    assert_eq!(
        fs::read(storage.local().unwrap().path(&whole)).unwrap(),
        [b"a,b\n".as_slice(), &large].concat()
    );
}

#[tokio::test]
async fn a_stored_file_is_kept_twice_in_one_place_and_removed_alone() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage::open(folder.path()).unwrap();
    let [first, second] = [(); 2].map(|()| Key::upload(ImportId::generate()));
    fs::write(storage.local().unwrap().path(&first), "a,b\n").unwrap();
    assert_eq!(storage.duplicate(&first, &second).await.unwrap(), 4);
    assert_eq!(fs::metadata(storage.local().unwrap().path(&first)).unwrap().nlink(), 2);
    storage.remove(&first).await.unwrap();
    assert_eq!(fs::read_to_string(storage.local().unwrap().path(&second)).unwrap(), "a,b\n");
    let missing = storage.duplicate(&first, &Key::upload(ImportId::generate())).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn where_a_file_cannot_have_two_names_it_is_copied() {
    // Hard links do not work across file systems.
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir_in("/dev/shm").unwrap());
    std::os::unix::fs::symlink(elsewhere.path(), folder.path().join("runs")).unwrap();
    let storage = Storage::open(folder.path()).unwrap();
    let (first, second) = (Key::output(&RunId::from("r".to_owned())), Key::upload(ImportId::generate()));
    fs::write(storage.local().unwrap().path(&first), "a,b\n").unwrap();
    assert_eq!(storage.duplicate(&first, &second).await.unwrap(), 4);
    assert_eq!(fs::metadata(storage.local().unwrap().path(&first)).unwrap().nlink(), 1);
    assert_eq!(fs::read_to_string(storage.local().unwrap().path(&second)).unwrap(), "a,b\n");
    assert!(names(&folder.path().join("incoming")).is_empty());
}

#[test]
fn an_output_is_there_only_once_it_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage::open(folder.path()).unwrap();
    let run = RunId::from("../../etc/passwd".to_owned());
    let mut dropped = storage.create_output(&run).unwrap();
    dropped.write(b"1\r\n").unwrap();
    drop(dropped);
    let mut kept = storage.create_output(&run).unwrap();
    kept.write(b"2\r\n").unwrap();
    kept.finish_here();
    kept.finish().unwrap();
    let key = kept.keep();
    assert_eq!(names(&folder.path().join("runs")).len(), 1);
    assert_eq!(fs::read(storage.local().unwrap().path(&key)).unwrap(), b"2\r\n");
    assert!(key.as_str().starts_with("runs/etcpasswd-"), "{}", key.as_str());
}

#[tokio::test]
async fn removing_a_file_twice_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage::open(folder.path()).unwrap();
    let key = storage.create_output(&RunId::from("run".to_owned())).unwrap().keep();
    storage.remove(&key).await.unwrap();
    storage.remove(&key).await.unwrap();
    assert!(names(&folder.path().join("runs")).is_empty());
}

#[test]
fn binary_files_are_known_by_their_first_bytes() {
    let mut tar = vec![b'a'; 512];
    tar[257..265].copy_from_slice(b"ustar\x0000");
    for (head, name) in [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".as_slice(), "a PNG image"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "a JPEG image"),
        (b"GIF89a\x01\0\x01\0", "a GIF image"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"PK\x03\x04\x14\0\x06\0", "an Excel workbook or zip archive"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0", "an old Excel or Word document"),
        (b"\x1f\x8b\x08\0\0\0\0\0", "a gzip archive"),
        (b"BZh91AY&SY\x94$|\x0e", "a bzip2 archive"),
        (b"\x28\xb5\x2f\xfd\x24", "a Zstandard archive"),
        (b"\x50\x2a\x4d\x18\x04\0\0\0", "a Zstandard archive"),
        (b"\xfd7zXZ\0\0\x04", "an xz archive"),
        (b"\x04\x22\x4d\x18\x64", "an LZ4 archive"),
        (b"SQLite format 3\0\x10\0", "a SQLite database"),
        (b"\0\0\0\x20ftypisom", "a video"),
        (&tar, "a tar archive"),
        (b"\0\x05\x16\x07\0\x02\0\0Mac OS X", "what macOS keeps beside a file (AppleDouble)"),
        (b"\xff\xfe\0\0a\0\0\0", "text in UTF-32"),
        (b"\0\0\xfe\xff\0\0\0a", "text in UTF-32"),
        (b"a\0\0\0,\0\0\0\xac\x20\0\0\n\0\0\0", "text in UTF-32"),
        (b"\0\0\0a\0\0\0,\0\x01\xf6\0\0\0\0\n", "text in UTF-32"),
    ] {
        assert_eq!(BinaryKind::sniff(head).map(|kind| kind.to_string()).as_deref(), Some(name), "{head:?}");
    }
}

#[test]
fn text_is_never_taken_for_a_binary_file() {
    for head in [
        b"".as_slice(),
        b"a,b\n1,2\n",
        b"PAR1,PAR2\n",
        b"PK,name\n",
        b"BMI,age\n",
        b"abc,ftyp\n",
        b"\xef\xbb\xbfname\n",
        b"\xff\xfen\0a\0m\0e\0",
        b"GIF8,price\n",
        b"\0,b\n",
        b"a\0\0\0",
        b"a\0\0\0,b\n1,2\n",
        b"\xfe\xff\0a\0,\0b\0\n",
        b"a\0,\0b\0\n\0x\0,\0y\0\n\0",
        b"\0\0\0\0\0\0\0\0",
    ] {
        assert_eq!(BinaryKind::sniff(head), None, "{head:?}");
    }
}
