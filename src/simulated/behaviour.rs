//! How a container behaves: what its image would decide on a real machine, said by annotations on the Pod.
//!
//! Each annotation is a list of `CONTAINER=…`, separated by semicolons; `*` means every container. Durations are written as
//! `5s`, `200ms` or `1m30s`.
//!
//! The Docker labels of a container say the same of that container alone, without its name: `1 after 5s` for [`EXIT`],
//! `readiness=fail` for [`PROBES`]. They are looked for in the Pod's annotation `docker-labels.…/CONTAINER`, a JSON object.

use std::collections::BTreeMap;

use jiff::SignedDuration;

/// When containers exit and with which code: `app=1 after 5s`, `init=0`, `app=1 times 2` (the first two runs only).
pub const EXIT: &str = "simulated.ecs-operator.dev/exit";
/// What SIGTERM does: `app=0 after 2s`, or `app=ignore`, which waits to be killed (137).
pub const STOP: &str = "simulated.ecs-operator.dev/stop";
/// How long a preStop hook takes that is no sleep: `app=3s`.
pub const PRE_STOP: &str = "simulated.ecs-operator.dev/pre-stop";
/// Which probes fail: `app.readiness=fail after 10s for 5s`, counted from each start of the container, or
/// `app.liveness=fail for 5s`, counted from when that is said. Others succeed.
pub const PROBES: &str = "simulated.ecs-operator.dev/probes";
/// Why containers cannot be started: `app=ImagePullBackOff`, with a message `app=ImagePullBackOff: no such image`. They start
/// once the annotation goes.
pub const WAITING: &str = "simulated.ecs-operator.dev/waiting";
/// How long the image is pulled before the first start: `app=10s`.
pub const PULL: &str = "simulated.ecs-operator.dev/pull";
/// How long a container takes from being created to running: `app=2s`.
pub const START: &str = "simulated.ecs-operator.dev/start";

/// Ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Exit code.
    pub code: i32,
    /// Time from its start.
    pub after: SignedDuration,
    /// In how many runs, counted from the first; all when none.
    pub runs: Option<u32>,
}

/// What SIGTERM does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Exit code.
    pub code: i32,
    /// Time from the signal; none ignores it.
    pub after: Option<SignedDuration>,
}

/// A kind of probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeKind {
    /// Restarts the container.
    Liveness,
    /// Takes the container out of service.
    Readiness,
    /// Comes before the others.
    Startup,
}

/// A time in which a probe fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failing {
    /// Which probe.
    pub probe: ProbeKind,
    /// From when on, counted from the container's start; none means from when this was said.
    pub after: Option<SignedDuration>,
    /// For how long; for ever when none.
    pub lasts: Option<SignedDuration>,
}

/// How a container behaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Behaviour {
    /// See [`EXIT`].
    pub exit: Option<Exit>,
    /// See [`STOP`].
    pub stop: Option<Stop>,
    /// See [`PRE_STOP`].
    pub pre_stop: Option<SignedDuration>,
    /// See [`PROBES`].
    pub failing: Vec<Failing>,
    /// See [`WAITING`].
    pub waiting: Option<String>,
    /// See [`PULL`].
    pub pull: Option<SignedDuration>,
    /// See [`START`].
    pub start: Option<SignedDuration>,
}

impl Behaviour {
    /// Takes in what an entry of a note says of the container, or of one of its probes.
    fn learn(&mut self, note: &str, entry: &str, probe: &str, what: &str) -> Result<(), String> {
        let what = what.trim();
        let wrong = |hint: &str| format!("{note}: cannot read {entry:?}; write {hint}");
        match note {
            EXIT => self.exit = Some(exit(what).ok_or_else(|| wrong("app=1 after 5s times 2"))?),
            STOP => self.stop = Some(stop(what).ok_or_else(|| wrong("app=0 after 2s, or app=ignore"))?),
            PROBES => {
                let failing = failing(probe, what);
                self.failing
                    .push(failing.ok_or_else(|| wrong("app.readiness=fail after 10s for 5s"))?);
            }
            WAITING => self.waiting = Some(what.to_owned()),
            _ => {
                let time = Some(duration(what).ok_or_else(|| wrong("app=2s"))?);
                match note {
                    PRE_STOP => self.pre_stop = time,
                    PULL => self.pull = time,
                    _ => self.start = time,
                }
            }
        }
        Ok(())
    }

    /// What is not said here is taken from `other`.
    #[must_use]
    pub fn or(self, other: &Self) -> Self {
        Self {
            exit: self.exit.or(other.exit),
            stop: self.stop.or(other.stop),
            pre_stop: self.pre_stop.or(other.pre_stop),
            failing: if self.failing.is_empty() {
                other.failing.clone()
            } else {
                self.failing
            },
            waiting: self.waiting.or_else(|| other.waiting.clone()),
            pull: self.pull.or(other.pull),
            start: self.start.or(other.start),
        }
    }
}

/// How all containers behave whose image begins so, where their Pod doesn't say otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Beginning of the image's name; the empty one means all images.
    pub image: String,
    /// How they behave.
    pub behaviour: Behaviour,
}

/// Begin of the annotations with the Docker labels of a container.
const LABELS: &str = "docker-labels.";

/// The annotations of a Pod that say how it behaves.
pub fn is_note(annotation: &str) -> bool {
    is_behaviour(annotation) || annotation.starts_with(LABELS)
}

fn is_behaviour(name: &str) -> bool {
    [EXIT, STOP, PRE_STOP, PROBES, WAITING, PULL, START].contains(&name)
}

fn entries(text: &str) -> impl Iterator<Item = &str> {
    text.split(';').map(str::trim).filter(|entry| !entry.is_empty())
}

/// Reads how the container of that name behaves.
pub fn read(notes: &BTreeMap<String, String>, container: &str) -> Result<Behaviour, String> {
    let mut own = Behaviour::default();
    let mut of_labels = Behaviour::default();
    for (note, text) in notes {
        if is_behaviour(note) {
            for entry in entries(text) {
                let wrong = || format!("{note}: cannot read {entry:?}; write CONTAINER=…");
                let (whom, what) = entry.split_once('=').ok_or_else(wrong)?;
                let (name, probe) = match whom.trim().split_once('.') {
                    Some((name, probe)) if note == PROBES => (name, probe),
                    _ => (whom.trim(), ""),
                };
                if name == container || name == "*" {
                    own.learn(note, entry, probe, what)?;
                }
            }
        } else if note.starts_with(LABELS) && note.split_once('/').is_some_and(|(_, name)| name == container)
        {
            // labels that are no strings are not ours to complain about
            let labels: BTreeMap<String, String> = serde_json::from_str(text).unwrap_or_default();
            for (label, text) in labels.iter().filter(|(label, _)| is_behaviour(label)) {
                for entry in entries(text) {
                    let (probe, what) = match entry.split_once('=') {
                        Some(pair) if label == PROBES => pair,
                        _ => ("", entry),
                    };
                    of_labels.learn(label, entry, probe.trim(), what)?;
                }
            }
        }
    }
    Ok(own.or(&of_labels))
}

fn duration(text: &str) -> Option<SignedDuration> {
    text.parse()
        .ok()
        .filter(|time: &SignedDuration| !time.is_negative())
}

/// Words in pairs, such as `after 5s times 2`; none if one is left over.
fn pairs(words: &[&str]) -> Option<BTreeMap<String, String>> {
    let pair = |pair: &[&str]| match pair {
        [name, value] => Some(((*name).to_owned(), (*value).to_owned())),
        _ => None,
    };
    words.chunks(2).map(pair).collect()
}

fn exit(text: &str) -> Option<Exit> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (code, rest) = words.split_first()?;
    let mut rest = pairs(rest)?;
    let after = rest
        .remove("after")
        .map_or(Some(SignedDuration::ZERO), |text| duration(&text))?;
    let runs = rest.remove("times").map(|text| text.parse().ok());
    let exit = Exit {
        code: code.parse().ok()?,
        after,
        runs: if let Some(runs) = runs { Some(runs?) } else { None },
    };
    rest.is_empty().then_some(exit)
}

fn stop(text: &str) -> Option<Stop> {
    let words: Vec<&str> = text.split_whitespace().collect();
    if words == ["ignore"] {
        return Some(Stop {
            code: 137,
            after: None,
        });
    }
    let (code, rest) = words.split_first()?;
    let mut rest = pairs(rest)?;
    let after = rest
        .remove("after")
        .map_or(Some(SignedDuration::ZERO), |text| duration(&text))?;
    rest.is_empty().then_some(Stop {
        code: code.parse().ok()?,
        after: Some(after),
    })
}

fn failing(probe: &str, text: &str) -> Option<Failing> {
    let probe = match probe {
        "liveness" => ProbeKind::Liveness,
        "readiness" => ProbeKind::Readiness,
        "startup" => ProbeKind::Startup,
        _ => return None,
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    let (word, rest) = words.split_first()?;
    let mut rest = pairs(rest)?;
    let mut time = |name: &str| match rest.remove(name) {
        Some(text) => duration(&text).map(Some),
        None => Some(None),
    };
    let failing = Failing {
        probe,
        after: time("after")?,
        lasts: time("for")?,
    };
    (*word == "fail" && rest.is_empty()).then_some(failing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes(of: &[(&str, &str)]) -> BTreeMap<String, String> {
        of.iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect()
    }

    #[test]
    fn annotations_say_how_each_container_behaves() {
        let notes = notes(&[
            (EXIT, "init=0; app=1 after 5s times 2"),
            (STOP, "*=ignore; app=3 after 1m30s"),
            (PROBES, "app.readiness=fail after 10s for 5s; app.liveness=fail"),
            (WAITING, "slow=ImagePullBackOff"),
            (START, "app=200ms"),
            ("other.example/exit", "app=9"),
        ]);
        let seconds = SignedDuration::from_secs;
        let app = read(&notes, "app").unwrap();
        assert_eq!(
            app.exit,
            Some(Exit {
                code: 1,
                after: seconds(5),
                runs: Some(2)
            })
        );
        assert_eq!(
            app.stop,
            Some(Stop {
                code: 3,
                after: Some(seconds(90))
            })
        );
        assert_eq!(app.start, Some(SignedDuration::from_millis(200)));
        let readiness = Failing {
            probe: ProbeKind::Readiness,
            after: Some(seconds(10)),
            lasts: Some(seconds(5)),
        };
        let liveness = Failing {
            probe: ProbeKind::Liveness,
            after: None,
            lasts: None,
        };
        assert_eq!(app.failing, [readiness, liveness]);
        let init = read(&notes, "init").unwrap();
        assert_eq!(
            init.exit,
            Some(Exit {
                code: 0,
                after: seconds(0),
                runs: None
            })
        );
        assert_eq!(
            init.stop,
            Some(Stop {
                code: 137,
                after: None
            })
        );
        assert_eq!(
            read(&notes, "slow").unwrap().waiting.as_deref(),
            Some("ImagePullBackOff")
        );
    }

    #[test]
    fn docker_labels_speak_of_their_container_alone_and_annotations_come_before_them() {
        let labels = r#"{ "simulated.ecs-operator.dev/exit": "4 after 1s", "other": "x",
            "simulated.ecs-operator.dev/probes": "liveness=fail; readiness=fail for 3s",
            "simulated.ecs-operator.dev/stop": "ignore" }"#;
        let notes = notes(&[("docker-labels.ecs-operator.dev/app", labels), (EXIT, "app=0")]);
        let app = read(&notes, "app").unwrap();
        assert_eq!(app.exit.unwrap().code, 0, "the annotation's");
        assert_eq!(app.stop.unwrap().after, None);
        assert_eq!(app.failing.len(), 2);
        assert_eq!(read(&notes, "other").unwrap(), Behaviour::default());
        assert!(notes.keys().all(|name| is_note(name)));
    }

    #[test]
    fn what_cannot_be_read_is_named_with_what_to_write() {
        for (note, text, hint) in [
            (EXIT, "app=soon", "app=1 after 5s"),
            (EXIT, "app=1 after", "app=1 after 5s"),
            (EXIT, "app", "CONTAINER="),
            (STOP, "app=0 after -2s", "app=ignore"),
            (PROBES, "app.ready=fail", "app.readiness=fail"),
            (PROBES, "app.readiness=fails", "app.readiness=fail"),
            (PULL, "app=long", "app=2s"),
        ] {
            let error = read(&notes(&[(note, text)]), "app").unwrap_err();
            assert!(error.starts_with(note) && error.contains(hint), "{error}");
        }
    }

    #[test]
    fn a_pods_own_words_come_before_a_rule() {
        let rule = read(&notes(&[(EXIT, "*=1"), (START, "*=4s")]), "").unwrap();
        let own = read(&notes(&[(EXIT, "app=0")]), "app").unwrap();
        let both = own.or(&rule);
        assert_eq!(both.exit.unwrap().code, 0);
        assert_eq!(both.start, Some(SignedDuration::from_secs(4)));
    }
}
