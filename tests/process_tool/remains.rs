//! Processes that a program leaves behind when it ends by itself.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::support::{Folder, NOBODY, alive, call, guarded, is_alive, script};

#[tokio::test]
async fn what_is_left_at_work_in_the_group_is_ended() {
    guarded(async {
        for line in [
            // One process that holds the output open, one that does not, and one that ignores TERM.
            "sleep 1000 & echo $$ > leader; exit 3",
            "sleep 1000 </dev/null >/dev/null 2>&1 & echo $$ > leader; exit 3",
            "(trap '' TERM; while :; do sleep 1000; done) & echo $$ > leader; exit 3",
            "for i in 1 2 3 4 5 6 7 8; do (sleep 1000 & sleep 1000) & done; echo $$ > leader; exit 3",
        ] {
            let folder = Folder::new();
            let told = call(script(&folder, line), "").await.unwrap();
            assert_eq!(told, json!({"exit_code": 3, "stdout": "", "stderr": ""}), "{line}");
            assert_eq!(alive(folder.number("leader").await), NOBODY, "{line}");
        }
    })
    .await;
}

#[tokio::test]
async fn who_has_left_the_group_is_out_of_reach_and_does_not_hold_the_call() {
    guarded(async {
        let folder = Folder::new();
        let line = "setsid sh -c 'echo $$ > away; exec sleep 1000' & \
            while ! [ -s away ]; do :; done; echo $$ > leader; echo here";
        let told = call(script(&folder, line), "").await.unwrap();
        assert_eq!(
            told,
            json!({"exit_code": 0, "stdout": "here\n", "stderr": ""})
        );
        assert_eq!(alive(folder.number("leader").await), NOBODY);
        let away = folder.number("away").await;
        assert!(is_alive(away));
        let pid = Pid::from_raw(away.try_into().unwrap()).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
    })
    .await;
}
