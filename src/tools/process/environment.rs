//! The environment of a program, and the search for the program.

use std::{
    ffi::{OsStr, OsString},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use quell_actors::tool::ToolError;

/// The variables that every program gets, beside those that begin with `LC_`. None of them holds a secret. Others must
/// be asked for by name, because the environment of a process that uses models holds keys.
const PASSED: [&str; 8] = [
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR",
];

/// The `PATH` when none is set.
const USUAL_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The environment of a program: the usual variables, those asked for by name, and those set, which take precedence.
pub(super) fn environment(
    asked: &[OsString],
    set: Vec<(OsString, OsString)>,
) -> Vec<(OsString, OsString)> {
    of_parent(std::env::vars_os(), asked, set)
}

fn of_parent(
    parent: impl Iterator<Item = (OsString, OsString)>,
    asked: &[OsString],
    set: Vec<(OsString, OsString)>,
) -> Vec<(OsString, OsString)> {
    let is_set = |name: &OsStr| set.iter().any(|(one, _)| one == name);
    let is_passed = |name: &OsStr| {
        PASSED.iter().any(|one| name == *one)
            || name.as_encoded_bytes().starts_with(b"LC_")
            || asked.iter().any(|one| one == name)
    };
    let mut all: Vec<_> = parent
        .filter(|(name, _)| is_passed(name) && !is_set(name))
        .collect();
    if !is_set(OsStr::new("PATH")) && !all.iter().any(|(name, _)| name == "PATH") {
        all.push(("PATH".into(), USUAL_PATH.into()));
    }
    all.extend(set);
    all
}

/// The program's path as seen from the working directory `directory`: a name with a slash is taken as it is, any other
/// is searched for in `path`. This is done here and not by the system, so that errors say clearly what is wrong.
pub(super) fn find(
    program: &Path,
    path: &OsStr,
    directory: Option<&Path>,
) -> Result<PathBuf, ToolError> {
    let name = program.display();
    if program.as_os_str().as_encoded_bytes().contains(&b'/') {
        let at = directory.map_or(program.to_owned(), |directory| directory.join(program));
        return match kind_of(&at) {
            Found::Program if program.is_absolute() => Ok(program.to_owned()),
            // With `./` in front the path cannot begin with a dash.
            Found::Program => Ok(Path::new(".").join(program)),
            Found::NoProgram => Err(ToolError::new(format!(
                "{name} is not an executable program"
            ))),
            Found::Nothing => Err(ToolError::new(format!("program {name} not found"))),
        };
    }
    // A relative folder in PATH is skipped: it would mean a different folder for each working directory.
    std::env::split_paths(path)
        .filter(|folder| folder.is_absolute() && !program.as_os_str().is_empty())
        .map(|folder| folder.join(program))
        .find(|at| kind_of(at) == Found::Program)
        .ok_or_else(|| ToolError::new(format!("program {name} not found in PATH")))
}

#[derive(PartialEq, Eq)]
enum Found {
    Program,
    NoProgram,
    Nothing,
}

fn kind_of(path: &Path) -> Found {
    match path.metadata() {
        Ok(found) if found.is_file() && found.permissions().mode() & 0o111 != 0 => Found::Program,
        Ok(_) => Found::NoProgram,
        Err(_) => Found::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_wins_and_unknown_variables_are_not_passed_on() {
        let variables = |all: &[(&str, &str)]| -> Vec<(OsString, OsString)> {
            all.iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect()
        };
        let of = |parent, asked: &[&str], set| {
            let asked: Vec<OsString> = asked.iter().map(Into::into).collect();
            let mut all = of_parent(variables(parent).into_iter(), &asked, variables(set));
            all.sort_unstable();
            all
        };
        assert_eq!(
            of(
                &[
                    ("HOME", "/h"),
                    ("LC_TIME", "C"),
                    ("OPENAI_API_KEY", "k"),
                    ("A", "a"),
                    ("PATH", "/p")
                ],
                &["A", "B"],
                &[("HOME", "/nowhere"), ("C", "c")],
            ),
            variables(&[
                ("A", "a"),
                ("C", "c"),
                ("HOME", "/nowhere"),
                ("LC_TIME", "C"),
                ("PATH", "/p")
            ])
        );
        assert_eq!(of(&[], &[], &[]), variables(&[("PATH", USUAL_PATH)]));
        assert_eq!(
            of(&[("PATH", "/p")], &[], &[("PATH", "/q")]),
            variables(&[("PATH", "/q")])
        );
    }

    #[test]
    fn programs_are_found_as_a_shell_would() {
        let path = OsStr::new("relative:/nowhere:/bin");
        let found = |program: &str, directory: Option<&str>| {
            find(Path::new(program), path, directory.map(Path::new))
                .map_err(|error| error.message().to_owned())
        };
        assert_eq!(found("sh", None).unwrap(), Path::new("/bin/sh"));
        assert_eq!(found("/bin/sh", Some("/")).unwrap(), Path::new("/bin/sh"));
        assert_eq!(found("bin/sh", Some("/")).unwrap(), Path::new("./bin/sh"));
        assert_eq!(
            found("bin/sh", Some("/tmp")).unwrap_err(),
            "program bin/sh not found"
        );
        assert_eq!(
            found("/etc/passwd", None).unwrap_err(),
            "/etc/passwd is not an executable program"
        );
        assert_eq!(
            found("/bin/", None).unwrap_err(),
            "/bin/ is not an executable program"
        );
        for nothing in ["", "no-such-program"] {
            let expected = format!("program {nothing} not found in PATH");
            assert_eq!(found(nothing, None).unwrap_err(), expected);
        }
    }
}
