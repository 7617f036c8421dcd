//! Reading `/proc`.

use std::{fs, io};

/// The fields of `/proc/<pid>/stat` that are needed here; see proc_pid_stat(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    state: u8,
    /// The id of its process group.
    pub(super) group: u32,
    /// When the process started, in clock ticks since boot. `exec` does not change it.
    pub(super) started: u64,
}

impl Stat {
    /// Whether the process is running: one that has ended stays visible until its parent reaps it.
    pub(super) fn is_alive(&self) -> bool {
        !matches!(self.state, b'Z' | b'X' | b'x')
    }

    /// Whether a signal has stopped the process.
    pub(super) fn is_stopped(&self) -> bool {
        matches!(self.state, b'T' | b't')
    }

    fn parse(line: &[u8]) -> Option<Stat> {
        // The second field is the program's name in parentheses, which may itself contain parentheses. The third field
        // follows the last one.
        let after_name = line.iter().rposition(|byte| *byte == b')')? + 1;
        let rest = std::str::from_utf8(line.get(after_name..)?).ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3);
        Some(Stat {
            state: *field(3)?.as_bytes().first()?,
            group: field(5)?.parse().ok()?,
            started: field(22)?.parse().ok()?,
        })
    }
}

/// The state of a process; `None` when no process has that id.
pub(super) fn stat(pid: u32) -> Option<Stat> {
    Stat::parse(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// The ids of all running processes of a group.
pub(super) fn members(group: u32) -> io::Result<Vec<u32>> {
    let mut members = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|n| n.parse().ok()) else {
            continue;
        };
        if stat(pid).is_some_and(|stat| stat.group == group && stat.is_alive()) {
            members.push(pid);
        }
    }
    Ok(members)
}

/// Whether a process was started with this variable in its environment. `false` when that cannot be read.
pub(super) fn has_variable(pid: u32, name: &str, value: &str) -> bool {
    let variable = format!("{name}={value}");
    fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environ| {
        environ
            .split(|byte| *byte == 0)
            .any(|one| one == variable.as_bytes())
    })
}

/// The id of the current boot.
pub(super) fn boot() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?
        .trim()
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_move_the_fields() {
        let line = b"4711 (a) Z (1 2) S 1 4700 4700 0 -1 4194304 9 0 0 0 1 2 3 4 20 0 1 0 8899 1 2";
        let stat = Stat::parse(line).unwrap();
        assert_eq!((stat.group, stat.started), (4700, 8899));
        assert!(stat.is_alive() && !stat.is_stopped());
        assert!(
            !Stat::parse(b"1 (sh) Z 1 1 1 0 -1 0 9 0 0 0 1 2 3 4 20 0 1 0 8 1")
                .unwrap()
                .is_alive()
        );
        assert_eq!(Stat::parse(b"1 (sh) S 1"), None);
        assert_eq!(Stat::parse(b""), None);
    }

    #[test]
    fn this_process_is_found() {
        let me = std::process::id();
        let stat = stat(me).unwrap();
        assert!(members(stat.group).unwrap().contains(&me));
    }
}
