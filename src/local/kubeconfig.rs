//! The kubeconfig that leads to local mode: written at the start, gone at the end.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;

/// How long another local mode may take to take a connection.
const ANSWERS_WITHIN: Duration = Duration::from_millis(300);

/// Where it is when nothing is said.
pub(super) fn default_path() -> anyhow::Result<PathBuf> {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    let home = home.context("HOME is not set: name a file for the kubeconfig")?;
    Ok(PathBuf::from(home).join(".kube").join("ecs-operator-local"))
}

/// The file; removed when this is dropped.
#[derive(Debug)]
pub(super) struct Written(PathBuf);

impl Written {
    /// Writes it for this user alone. Refuses to take the place of a file that is not ours, or whose server answers.
    pub(super) fn new(path: PathBuf, content: &str) -> anyhow::Result<Self> {
        let shown = path.display().to_string();
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
        }
        refuse_to_replace(&path)?;
        let beside = path.with_extension("part");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let written = options
            .open(&beside)
            .and_then(|mut file| file.write_all(content.as_bytes()))
            .and_then(|()| fs::rename(&beside, &path));
        written.with_context(|| format!("cannot write the kubeconfig {shown}"))?;
        Ok(Self(path))
    }

    /// Where it is.
    #[must_use]
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        // at the end there is nobody left to tell
        let _ = fs::remove_file(&self.0);
    }
}

fn refuse_to_replace(path: &Path) -> anyhow::Result<()> {
    let shown = path.display();
    let Ok(text) = fs::read_to_string(path) else {
        return Ok(());
    };
    let config: Value = serde_json::from_str(&text).unwrap_or_default();
    if config.pointer("/clusters/0/name") != Some(&Value::from("embedded")) {
        bail!(
            "{shown} is there already and is not a kubeconfig of local mode: name another file with --write-kubeconfig"
        );
    }
    let server = config
        .pointer("/clusters/0/cluster/server")
        .and_then(Value::as_str);
    let address = server.and_then(|url| url.strip_prefix("https://")?.parse().ok());
    if address.is_some_and(|address| TcpStream::connect_timeout(&address, ANSWERS_WITHIN).is_ok()) {
        bail!(
            "a local mode that wrote {shown} is running: end it, or name another file with --write-kubeconfig"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(address: &str) -> String {
        let cluster =
            serde_json::json!({"name": "embedded", "cluster": {"server": format!("https://{address}")}});
        serde_json::json!({ "clusters": [cluster] }).to_string()
    }

    #[test]
    fn it_takes_the_place_of_one_that_leads_nowhere_and_of_no_other() {
        let folder = std::env::temp_dir().join(format!("ecs-operator-kubeconfig-{}", std::process::id()));
        let path = folder.join("kubeconfig");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let first = Written::new(path.clone(), &config(&address)).unwrap();
        let error = Written::new(path.clone(), "{}").unwrap_err().to_string();
        assert!(
            error.contains("is running") && error.contains("--write-kubeconfig"),
            "{error}"
        );
        drop(listener);
        let second = Written::new(path.clone(), "{}").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{}");
        let error = Written::new(path.clone(), "{}").unwrap_err().to_string();
        assert!(error.contains("not a kubeconfig of local mode"), "{error}");
        drop((first, second));
        assert!(!path.exists());
        fs::remove_dir_all(&folder).unwrap();
    }
}
