use super::*;
use crate::models::openai::connection::is_loopback;

const KEY: &str = "sk-test-0123456789";

#[test]
fn the_environment_says_what_it_says() {
    let from = |variables: &'static [(&str, &str)]| {
        OpenAiChatBuilder::from_variables(|name| {
            Ok(variables
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, v)| (*v).to_owned()))
        })
    };
    for nothing in [&[][..], &[("OPENAI_API_KEY", "")], &[("OPENAI_MODEL", "m")]] {
        assert_eq!(
            from(nothing).err(),
            Some(OpenAiError::MissingKey),
            "{nothing:?}"
        );
    }
    let local = from(&[("OPENAI_BASE_URL", " http://localhost:1/v1 ")]).unwrap();
    assert_eq!(
        (local.api_key, local.base_url.as_str()),
        (None, "http://localhost:1/v1")
    );
    let all = from(&[
        ("OPENAI_API_KEY", "sk-test-0123456789\n"),
        ("OPENAI_MODEL", "m"),
        ("OPENAI_ORG_ID", "org"),
    ])
    .unwrap();
    assert_eq!(all.api_key, Some(ApiKey::new(KEY)));
    assert_eq!((all.base_url.as_str(), all.model.as_str()), (OPENAI, "m"));
    assert_eq!(all.organization.as_deref(), Some("org"));
}

#[test]
fn the_endpoint_is_below_the_base_url() {
    for (base, expected) in [
        ("http://h/v1", "http://h/v1/chat/completions"),
        ("http://h/v1/", "http://h/v1/chat/completions"),
        ("http://h", "http://h/chat/completions"),
        (
            "http://h/v1/chat/completions",
            "http://h/v1/chat/completions",
        ),
        (
            "https://h/d/x?api-version=1#f",
            "https://h/d/x/chat/completions?api-version=1",
        ),
        (
            "http://[::1]:8080/v1",
            "http://[::1]:8080/v1/chat/completions",
        ),
    ] {
        let endpoint = OpenAiChat::builder().base_url(base).endpoint();
        assert_eq!(endpoint.map(String::from).as_deref(), Ok(expected));
    }
}

#[test]
fn what_cannot_be_used_is_refused_without_showing_it() {
    let builder = || OpenAiChat::builder().api_key(KEY);
    let header = |name: &str| {
        Some(OpenAiError::InvalidHeader {
            name: name.to_owned(),
        })
    };
    for (case, expected) in [
        (builder().api_key(""), Some(OpenAiError::InvalidKey)),
        (builder().api_key("a\nb"), Some(OpenAiError::InvalidKey)),
        (builder().header("a b", "x"), header("a b")),
        (builder().header("x-secret", "a\nb"), header("x-secret")),
        (builder().header("Host", "elsewhere"), header("Host")),
        (
            builder().organization("\u{0}"),
            header("openai-organization"),
        ),
        (
            builder().proxy("socks5://secret@h"),
            Some(OpenAiError::InvalidProxy),
        ),
        (
            builder().proxy("not a proxy"),
            Some(OpenAiError::InvalidProxy),
        ),
        (
            builder().temperature(f64::NAN),
            Some(OpenAiError::InvalidTemperature),
        ),
        (
            builder().base_url("http://user:secret@h/v1"),
            Some(OpenAiError::TwoCredentials),
        ),
        (builder(), None),
    ] {
        let shown = format!("{case:?}");
        assert!(
            !shown.contains("secret@") && !shown.contains(KEY),
            "{shown}"
        );
        assert_eq!(case.build().err(), expected, "{shown}");
    }
    for url in [
        "",
        "localhost:8080/v1",
        "ftp://secret@h/v1",
        "http://",
        "http://secret@:x",
        "/v1",
    ] {
        let error = OpenAiChat::builder().base_url(url).build().err();
        let shown = format!(
            "{error:?} {}",
            error.as_ref().map(ToString::to_string).unwrap_or_default()
        );
        assert!(
            matches!(error, Some(OpenAiError::InvalidUrl { .. })),
            "{url}: {shown}"
        );
        assert!(!shown.contains("secret"), "{shown}");
    }
}

#[test]
fn this_machine_is_known_by_all_its_names() {
    for (host, expected) in [
        ("localhost", true),
        ("LOCALHOST.", true),
        ("models.localhost", true),
        ("127.0.0.1", true),
        ("127.9.9.9", true),
        ("[::1]", true),
        ("[::ffff:127.0.0.1]", true),
        ("10.0.0.1", false),
        ("[::2]", false),
        ("localhost.example.com", false),
        ("notlocalhost", false),
        ("api.openai.com", false),
    ] {
        let url = Url::parse(&format!("http://{host}:8080/v1")).unwrap();
        assert_eq!(is_loopback(&url), expected, "{host}");
    }
}

#[test]
fn openai_and_others_are_told_the_limit_of_tokens_in_their_words() {
    for (base, expected) in [
        (OPENAI, "max_completion_tokens"),
        ("http://localhost/v1", "max_tokens"),
    ] {
        let model = OpenAiChat::builder()
            .base_url(base)
            .max_tokens(1)
            .build()
            .unwrap();
        assert_eq!(model.asking.max_tokens_field, expected);
    }
}

#[test]
fn another_model_shares_the_connections() {
    let one = OpenAiChat::builder().build().unwrap();
    let other = one.clone().model("other");
    assert!(std::sync::Arc::ptr_eq(&one.connection, &other.connection));
    assert_eq!(
        (one.asking.model.as_str(), other.asking.model.as_str()),
        ("gpt-5-mini", "other")
    );
}
