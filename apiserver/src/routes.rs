//! From a path to what answers it.

use http::{HeaderValue, Method, Response};
use serde_json::{Value, json};

use crate::body::Body;
use crate::request::{Call, NoTarget, Target};
use crate::server::{Server, refused, respond_with};
use crate::status::Refusal;
use crate::verbs::{self, Answer};
use crate::{discovery, openapi, render, stream};

/// Answers a call.
pub(crate) fn respond(server: &Server, call: &Call) -> Response<Body> {
    match route(server, call) {
        Ok(response) => response,
        Err(refusal) => refused(&refusal),
    }
}

fn route(server: &Server, call: &Call) -> Result<Response<Body>, Refusal> {
    let segments: Vec<&str> = call
        .path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .collect();
    let is_discovery = matches!(
        segments.as_slice(),
        ["version" | "api"] | ["api", _] | ["apis", _, _]
    );
    if is_discovery && call.method != Method::GET {
        return Err(Refusal::method_not_allowed());
    }
    match segments.as_slice() {
        [probe @ ("healthz" | "livez" | "readyz")] if call.query.flag("verbose") => {
            Ok(text(200, format!("[+]ping ok\n{probe} check passed\n")))
        }
        ["healthz" | "livez" | "readyz", ..] => Ok(text(200, "ok")),
        ["version"] => Ok(json_answer(&discovery::version())),
        ["api"] => Ok(discovery::core(&server.state().registry, call)),
        ["apis"] => Ok(discovery::groups(&server.state().registry, call)),
        ["apis", group] => Ok(found(discovery::group(&server.state().registry, group))),
        ["api", version] => Ok(found(discovery::resources(&server.state().registry, "", version))),
        ["apis", group, version] => {
            let registry = &server.state().registry;
            match discovery::resources(registry, group, version) {
                // A group of the API server's own answers for all versions of its name.
                None if registry.is_builtin_group(group) => Err(Refusal::no_such_resource()),
                resources => Ok(found(resources)),
            }
        }
        ["openapi", "v3"] => Ok(json_answer(&openapi::index(&server.state().registry))),
        ["openapi", "v3", "api", version] => {
            Ok(found(openapi::document(&server.state().registry, "", version)))
        }
        ["openapi", "v3", "apis", group, version] => {
            Ok(found(openapi::document(&server.state().registry, group, version)))
        }
        ["api", rest @ ..] => objects(server, call, "", rest),
        ["apis", group, rest @ ..] => objects(server, call, group, rest),
        [] => Ok(json_answer(
            &json!({"paths": ["/api", "/apis", "/healthz", "/livez", "/openapi/v3", "/readyz", "/version"]}),
        )),
        _ => Ok(not_found()),
    }
}

fn found(value: Option<Value>) -> Response<Body> {
    value.map_or_else(not_found, |value| json_answer(&value))
}

pub(crate) fn json_answer(value: &Value) -> Response<Body> {
    respond_with(200, "application/json", value.to_string().into_bytes())
}

fn text(code: u16, text: impl Into<String>) -> Response<Body> {
    respond_with(code, "text/plain; charset=utf-8", text.into().into_bytes())
}

fn not_found() -> Response<Body> {
    text(404, "404 page not found\n")
}

fn objects(server: &Server, call: &Call, group: &str, segments: &[&str]) -> Result<Response<Body>, Refusal> {
    // Below `watch` there are the paths that watched before there was a parameter for it.
    if let [version, "watch", rest @ ..] = segments {
        let path: Vec<&str> = std::iter::once(version).chain(rest).copied().collect();
        let mut call = call.clone();
        call.query.set("watch", "true");
        return answer(server, &call, group, &path, true);
    }
    answer(server, call, group, segments, false)
}

fn answer(
    server: &Server,
    call: &Call,
    group: &str,
    segments: &[&str],
    is_old_watch: bool,
) -> Result<Response<Body>, Refusal> {
    let mut state = server.state();
    let mut target = match Target::parse(&state.registry, group, segments) {
        Ok(target) => target,
        Err(NoTarget::NoSuchPath) => return Ok(not_found()),
        Err(NoTarget::NoSuchResource) => return Err(Refusal::no_such_resource()),
        Err(NoTarget::NoKubelet(subresource)) => return Err(Refusal::no_kubelet(&subresource)),
        Err(NoTarget::NoSuchSubresource(kind, name)) => return Err(Refusal::not_found(&kind, &name)),
    };
    if is_old_watch && (call.method != Method::GET || !target.subresource.is_empty()) {
        return Err(Refusal::no_such_resource());
    }
    let named;
    let call = if is_old_watch && !target.name.is_empty() {
        let mut call = call.clone();
        call.query
            .set("fieldSelector", &format!("metadata.name={}", target.name));
        target.name.clear();
        named = call;
        &named
    } else {
        call
    };
    let form = render::negotiate(&call.accept, call.query.get("includeObject"))?;
    let mut warnings = Vec::new();
    let answer = verbs::answer(&mut state, &target, call, &mut warnings)?;
    let now = state.sources.now();
    drop(state);
    let mut response = match answer {
        Answer::Watch(start) => stream::response(server.clone(), *start, form),
        answer => {
            let mut body = Vec::new();
            let code = render::answer(&mut body, form, &answer, now);
            respond_with(code, "application/json", body)
        }
    };
    for warning in warnings {
        let quoted = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
            response.headers_mut().append(http::header::WARNING, value);
        }
    }
    Ok(response)
}
