//! How databases with their snapshots in buckets lose data: cases 1, 2, 3, 4, 6 and 9 of the list in docs/testing.md.

use durable::recover::{self, OnLoadFailure, Options, Recovered};

use crate::node::{self, BOOT, Far, Node, fresh, loads, refused, refused_at};
use lacewing_tests::stores::Fate;

#[test]
fn hazard_1_a_bucket_that_denies_is_not_an_empty_one() {
    let Some(far) = Far::new() else { return };
    Node::begin(far.store(), 1).save(&[b"a"]).unwrap();
    far.proxy.always(Fate::Answer(403, "AccessDenied"));
    for on_load_failure in [OnLoadFailure::Refuse, OnLoadFailure::Previous, OnLoadFailure::Empty] {
        let (_scratch, places) = fresh(far.store());
        let options = Options { on_load_failure, ..Options::new(BOOT) };
        let refusal = recover::recover(&places, &options).expect_err("it is refused");
        assert_eq!(refusal.exit_code(), 106, "{refusal}");
        let text = refusal.to_string();
        assert!(text.contains("answer 403 AccessDenied: planted") && text.contains("credentials"), "{text}");
        assert!(text.contains(&format!("s3://{}/data", far.name)), "{text}");
    }
    far.proxy.clear();
    assert_eq!(loads(far.store()).set.unwrap().number, 1, "what is there was not touched");
}

#[test]
fn hazard_1_a_manifest_or_file_that_may_not_be_read_is_not_a_missing_one() {
    let Some(far) = Far::new() else { return };
    Node::begin(far.store(), 1).save(&[b"a"]).unwrap();
    for object in ["manifest", ".rdb"] {
        for method in ["HEAD", "GET"] {
            far.proxy.next(method, object, 1, Fate::Answer(403, "AccessDenied"));
            refused(far.store(), 106);
            assert_eq!(far.proxy.left(), 0, "{method} {object} was asked for");
            far.proxy.clear();
        }
    }
    loads(far.store());
}

#[test]
fn hazard_2_a_bucket_that_is_not_there_is_not_an_empty_one() {
    let Some(far) = Far::new() else { return };
    let typo = far.place("retry=5").replace(&far.name, "no-such-bucket");
    let text = refused(node::open(&typo), 105);
    assert!(text.contains("s3://no-such-bucket/data") && text.contains("404 NoSuchBucket"), "{text}");
    assert!(text.contains("never made"), "{text}");
    // Whatever says 404 in whatever words.
    far.proxy.always(Fate::Answer(404, "NotFound"));
    refused(far.store(), 105);
}

#[test]
fn hazard_2_a_store_that_does_not_answer_is_not_an_empty_one() {
    let Some(far) = Far::new() else { return };
    let fates = [
        (Fate::Silence, "no answer"),
        (Fate::Hangup, "the connection broke"),
        (Fate::Answer(500, "InternalError"), "answer 500 InternalError"),
        (Fate::Answer(503, "SlowDown"), "answer 503 SlowDown"),
        (Fate::Answer(429, "Busy"), "answer 429"),
        (Fate::AnswerCut(3), "the connection broke"),
    ];
    for (fate, said) in fates {
        far.proxy.clear();
        far.proxy.always(fate.clone());
        let text = refused(far.impatient(), 107);
        assert!(text.contains(said), "{fate:?}: {text}");
    }
    let nobody = far.place("retry=1").replace(&far.proxy.address(), "127.0.0.1:1");
    let text = refused(node::open(&nobody), 107);
    assert!(text.contains("no connection") && text.contains("refused"), "{text}");
    let nowhere = far.place("retry=1").replace(&far.proxy.address(), "no-such-host.invalid");
    let text = refused(node::open(&nowhere), 107);
    assert!(text.contains("no connection") && text.contains("tried"), "{text}");
}

#[test]
fn hazard_2_an_answer_without_sense_is_not_an_empty_list() {
    let Some(far) = Far::new() else { return };
    // What a portal that wants a password says to everything.
    far.proxy.always(Fate::Answer(200, "Welcome"));
    refused(far.store(), 108);
    far.proxy.clear();
    far.proxy.always(Fate::Answer(301, "PermanentRedirect"));
    refused(far.store(), 108);
}

#[test]
fn hazard_3_an_empty_prefix_of_a_node_that_had_data_is_not_a_first_start() {
    let Some(far) = Far::new() else { return };
    let mut node = Node::begin(far.store(), 1);
    node.save(&[b"a"]).unwrap();
    let typo = node::open(&far.place("retry=5").replace("/data?", "/dtaa?"));
    let places = durable::Places::with(node.places.shared_disk().clone(), typo);
    let text = refused_at(&places, 91);
    assert!(text.contains("holds no data, and its identity says that it did"), "{text}");
    // A machine that never had any may begin there.
    let Ok(Recovered::Empty(_)) =
        node::start(&fresh(node::open(&far.place("").replace("/data?", "/new?"))).1)
    else {
        panic!("there is nothing")
    };
}

#[test]
fn hazard_4_a_file_that_is_gone_or_cut_is_told() {
    let Some(far) = Far::new() else { return };
    let mut node = Node::begin(far.store(), 1);
    let manifest = node.save(&[b"one", b"two"]).unwrap();
    let object = format!("0000000001/{}", manifest.files[1].name);
    assert_eq!(far.direct("GET", &object, b""), b"two");

    far.direct("DELETE", &object, b"");
    let text = refused(far.store(), 96);
    assert!(text.contains(&object) && text.contains("is missing"), "{text}");
    far.direct("PUT", &object, b"tw");
    let text = refused(far.store(), 97);
    assert!(text.contains(&object) && text.contains("has 2 bytes, want 3"), "{text}");
    far.direct("PUT", &object, b"tWo");
    let text = refused(far.store(), 97);
    assert!(text.contains("bad crc64"), "{text}");
    far.direct("PUT", "0000000001/manifest", b"nonsense");
    refused(far.store(), 95);
}

#[test]
fn hazard_4_sets_of_another_node_are_refused() {
    let Some(far) = Far::new() else { return };
    let mut one = Node::begin(far.store(), 1);
    one.save(&[b"a"]).unwrap();
    // Another node whose directory has data, and which is given the same bucket.
    let Some(other) = Far::new() else { return };
    let mut two = Node::begin(other.store(), 2);
    two.save(&[b"b"]).unwrap();
    let places = durable::Places::with(two.places.shared_disk().clone(), far.store());
    let text = refused_at(&places, 93);
    assert!(text.contains(&format!("s3://{}/data/0000000001/manifest", far.name)), "{text}");
}

#[test]
fn hazard_6_a_file_that_did_not_arrive_makes_no_set() {
    let Some(far) = Far::new() else { return };
    let mut node = Node::begin(far.impatient(), 1);
    node.save(&[b"a"]).unwrap();
    for (method, part) in
        [("PUT", ".rdb"), ("POST", "uploads"), ("PUT", "partNumber=2"), ("POST", "uploadId")]
    {
        far.proxy.next(method, part, usize::MAX, Fate::Answer(500, "InternalError"));
        node.save(&[b"small", &node::bytes(1, 6 << 20)]).unwrap_err();
        assert!(far.proxy.left() < usize::MAX, "{method} {part} was asked for");
        far.proxy.clear();
        assert_eq!(loads(far.store()).set.unwrap().number, 1, "{method} {part}");
    }
}

#[test]
fn hazard_6_a_file_that_was_lost_behind_its_answer_makes_no_set() {
    let Some(far) = Far::new() else { return };
    let mut node = Node::begin(far.store(), 1);
    let draft = durable::sets::Draft::begin(&node.places, &node.loaded, &mut node.rng).unwrap();
    let mut file = draft.file(stdx::ShardId(0), false).unwrap();
    file.write(b"bytes").unwrap();
    let file = file.finish(Vec::new()).unwrap();
    far.direct("DELETE", &format!("0000000001/{}", file.name), b"");
    let commit = node.commit();
    let error = draft.commit(commit, vec![file], &mut node.identity, &mut node.loaded).unwrap_err();
    assert!(error.to_string().contains("is missing"), "{error}");
    assert!(!far.listed("list-type=2").contains("manifest"));
}

#[test]
fn hazard_9_beside_a_damaged_set_the_one_before_is_found() {
    let Some(far) = Far::new() else { return };
    let mut node = Node::begin(far.store(), 1);
    node.save(&[b"older"]).unwrap();
    let newer = node.save(&[b"newer"]).unwrap();
    let object = format!("0000000002/{}", newer.files[0].name);
    far.direct("PUT", &object, b"n3wer");
    refused(far.store(), 97);

    let (_scratch, places) = fresh(far.store());
    let mut options = Options { on_load_failure: OnLoadFailure::Previous, ..Options::new(BOOT) };
    let Ok(Recovered::Whole(plan)) = recover::recover_verified(&places, &mut options) else {
        panic!("a plan")
    };
    assert_eq!(plan.set.as_ref().unwrap().number, 1);
    assert_eq!(plan.lost.as_ref().unwrap().reason.exit_code(), 97);
    let keys = vec![plan.set.as_ref().unwrap().files[0].keys.clone()];
    let (_, loaded) = plan.accept(&places, &keys, node::NOW).unwrap();
    // It is out of the way of the next start, and still there, byte for byte.
    assert_eq!(loads(far.store()).set.unwrap().number, 1);
    assert_eq!(far.direct("GET", &object, b""), b"n3wer");
    assert_eq!(durable::sets::next_number(&places, &loaded).unwrap(), 3, "its number is not used again");
}
