//! The endpoint that ECS's agent gives to containers: where a Pod finds it, and by what it is known there. (PROT-20)

use k8s_openapi::api::core::v1::{Container, EnvVar, Pod, PodSpec};

use super::owner::named_for;

/// Variable that tells a container where its agent is. (PROT-20)
pub const AGENT_URI: &str = "ECS_AGENT_URI";

/// Between what an id consists of: no name of Kubernetes has it.
const BETWEEN: char = '_';

/// Where containers find the endpoint, and what proves that they are of their Pod.
#[derive(Clone, Copy)]
pub struct AgentEndpoint<'a> {
    /// `http://HOST:PORT`, no slash at the end.
    pub base: &'a str,
    /// Known to the Pod only; letters and digits.
    pub secret: &'a str,
}

/// What a request names itself by: a Pod, and what only that Pod knows. It is not to be logged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AgentId<'a> {
    /// Namespace of the Pod.
    pub namespace: &'a str,
    /// Name of the Pod.
    pub pod: &'a str,
    secret: &'a str,
}

impl<'a> AgentId<'a> {
    /// Reads what [`tell`] wrote.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let (namespace, rest) = text.split_once(BETWEEN)?;
        let (pod, secret) = rest.split_once(BETWEEN)?;
        let word = |text: &str, more: &[u8]| {
            let ok = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || more.contains(&b);
            (1..=253).contains(&text.len()) && text.bytes().all(ok)
        };
        (word(namespace, b"-") && word(pod, b"-.") && word(secret, b"")).then_some(Self {
            namespace,
            pod,
            secret,
        })
    }

    /// Name of the Task that the Pod is of, if it is of one.
    #[must_use]
    pub fn task(&self) -> Option<String> {
        let mut pod = super::Pod::default();
        pod.metadata.name = Some(self.pod.to_owned());
        named_for(&pod).map(ToOwned::to_owned)
    }

    /// Whether the Pod is the one that was given this id: a variable of a Pod never changes after its creation.
    #[must_use]
    pub fn is_of(&self, pod: &Pod) -> bool {
        let meta = &pod.metadata;
        let named =
            meta.namespace.as_deref() == Some(self.namespace) && meta.name.as_deref() == Some(self.pod);
        let secrets = pod
            .spec
            .iter()
            .flat_map(containers)
            .flat_map(|c| c.env.iter().flatten());
        let told = secrets
            .filter(|variable| variable.name == AGENT_URI)
            .any(|variable| {
                let uri = variable.value.as_deref().unwrap_or_default();
                let own = uri.rsplit('/').next().and_then(AgentId::parse);
                own.is_some_and(|own| same(own.secret.as_bytes(), self.secret.as_bytes()))
            });
        named && told
    }
}

/// Compares in a time that depends on the lengths alone.
fn same(one: &[u8], other: &[u8]) -> bool {
    let differing = one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b));
    one.len() == other.len() && std::hint::black_box(differing) == 0
}

fn containers(spec: &PodSpec) -> impl Iterator<Item = &Container> {
    spec.init_containers.iter().flatten().chain(&spec.containers)
}

/// Tells every container of a Pod where its agent is; as on ECS, this goes above what the definition says. (PROT-20)
pub(super) fn tell(spec: &mut PodSpec, endpoint: AgentEndpoint<'_>, namespace: &str, pod: &str) {
    let AgentEndpoint { base, secret } = endpoint;
    let uri = format!("{base}/api/{namespace}{BETWEEN}{pod}{BETWEEN}{secret}");
    for container in spec
        .init_containers
        .iter_mut()
        .flatten()
        .chain(&mut spec.containers)
    {
        let variables = container.env.get_or_insert_default();
        variables.retain(|variable| variable.name != AGENT_URI);
        variables.push(EnvVar {
            name: AGENT_URI.to_owned(),
            value: Some(uri.clone()),
            value_from: None,
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const SECRET: &str = "00112233445566778899aabbccddeeff";

    fn told(namespace: &str, name: &str) -> Pod {
        let mut pod: Pod = serde_json::from_value(json!({
            "metadata": { "namespace": namespace, "name": name },
            "spec": { "initContainers": [{ "name": "first" }], "containers": [
                { "name": "a", "env": [{ "name": AGENT_URI, "value": "mine" }, { "name": "X", "value": "1" }] } ] },
        }))
        .unwrap();
        let endpoint = AgentEndpoint {
            base: "http://agent:80",
            secret: SECRET,
        };
        tell(pod.spec.as_mut().unwrap(), endpoint, namespace, name);
        pod
    }

    #[test]
    fn every_container_is_told_one_uri_above_what_its_definition_says_prot_20() {
        let pod = serde_json::to_value(told("shop", "t-0a1b2c3d")).unwrap();
        let uri = format!("http://agent:80/api/shop_t-0a1b2c3d_{SECRET}");
        let ours = json!({ "name": AGENT_URI, "value": uri });
        assert_eq!(pod["spec"]["initContainers"][0]["env"], json!([ours]));
        let other = json!({ "name": "X", "value": "1" });
        assert_eq!(pod["spec"]["containers"][0]["env"], json!([other, ours]));
    }

    #[test]
    fn an_id_is_of_the_pod_that_was_given_it_and_of_no_other_prot_20() {
        let text = format!("shop_t-0a1b2c3d_{SECRET}");
        let id = AgentId::parse(&text).unwrap();
        assert_eq!((id.namespace, id.task().as_deref()), ("shop", Some("t")));
        assert!(id.is_of(&told("shop", "t-0a1b2c3d")));
        assert!(!id.is_of(&told("shop", "t-0a1b2c3e")), "another Pod");
        assert!(!id.is_of(&told("other", "t-0a1b2c3d")), "another namespace");
        let mut bare = told("shop", "t-0a1b2c3d");
        bare.spec = None;
        assert!(!id.is_of(&bare), "it was told nothing");
        for wrong in [
            SECRET.replace('0', "1"),
            SECRET[1..].to_owned(),
            format!("{SECRET}0"),
        ] {
            let text = format!("shop_t-0a1b2c3d_{wrong}");
            let id = AgentId::parse(&text).unwrap();
            assert!(!id.is_of(&told("shop", "t-0a1b2c3d")), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_id_is_found_before_anything_is_asked_prot_24() {
        for text in [
            "", "a", "a_b", "a_b_", "_b_c", "a__c", "a_b_c_d", "A_b_c", "a/x_b_c", "a_b_%20", "a_../b_c",
        ] {
            assert!(AgentId::parse(text).is_none(), "{text}");
        }
        assert_eq!(
            AgentId::parse("a_plain_x").unwrap().task(),
            None,
            "no Pod of a task"
        );
        let user: Value = json!({ "metadata": { "namespace": "a", "name": "b" }, "spec": { "containers": [
            { "name": "c", "env": [{ "name": AGENT_URI, "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }] } ] } });
        let user: Pod = serde_json::from_value(user).unwrap();
        assert!(!AgentId::parse("a_b_c").unwrap().is_of(&user));
    }
}
