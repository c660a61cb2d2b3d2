//! Who may ask, and who may change something. *Pure.*
//!
//! A browser sends requests for any page it shows. So the dashboard answers only where it is asked by a
//! name or address that is its own: a foreign name that resolves to this machine (DNS rebinding) is
//! refused, and so is what a foreign page asks for. Whoever changes something needs the token.

use std::fmt;
use std::net::IpAddr;

use axum::http::header::{AUTHORIZATION, HOST, HeaderName, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, Uri};

use super::refused::Refused;

/// The names it is known by, and the token.
#[derive(Debug, Default)]
pub(crate) struct Guard {
    /// Beside this machine's own addresses.
    hosts: Vec<String>,
    token: Option<Token>,
}

/// What whoever changes something has to know.
pub(crate) struct Token(Box<[u8]>);

/// The fewest bytes of a token: one that is shorter can be guessed.
pub(super) const TOKEN_MIN: usize = 16;

/// What browsers say of where a request comes from.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

impl Guard {
    pub(crate) fn new(hosts: Vec<String>, token: Option<Token>) -> Self {
        Self { hosts, token }
    }

    /// Whether anything can be changed at all.
    pub(crate) fn is_writable(&self) -> bool {
        self.token.is_some()
    }

    /// Whether a request is one of the dashboard's own page, or of somebody who knows where it is. `local`
    /// is the address it came in at.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn admit(
        &self,
        uri: &Uri,
        headers: &HeaderMap,
        local: IpAddr,
    ) -> Result<(), Refused> {
        let host = asked_host(uri, headers)?;
        if !self.is_known(host.host(), local) {
            let reason = format!(
                "this dashboard is not known as {:?}: ask it by its address, or start it with --host {}",
                host.host(),
                host.host()
            );
            return Err(Refused::new(StatusCode::MISDIRECTED_REQUEST, reason));
        }
        let foreign = |origin: &[u8]| !is_origin(origin, &host);
        if headers.get_all(ORIGIN).iter().any(|origin| foreign(origin.as_bytes())) {
            let reason = "the page that asks is not this dashboard's: its Origin is another one";
            return Err(Refused::new(StatusCode::FORBIDDEN, reason));
        }
        // A page may be linked to from anywhere; what it asks for only itself asks for.
        let site = headers.get(SEC_FETCH_SITE).map(|site| site.as_bytes());
        if uri.path().starts_with("/api/") && site.is_some_and(|site| !is_own_site(site)) {
            let reason = "the page that asks is not this dashboard's: Sec-Fetch-Site says so";
            return Err(Refused::new(StatusCode::FORBIDDEN, reason));
        }
        Ok(())
    }

    /// Whether whoever asks may change something.
    ///
    /// # Errors
    /// That nobody may, or that the token is missing or a wrong one.
    pub(super) fn may_write(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let Some(token) = &self.token else {
            let reason = "nothing can be changed here: the dashboard was started without a token (--token-file)";
            return Err(Refused::new(StatusCode::FORBIDDEN, reason));
        };
        let unauthorized = |reason: &str| Err(Refused::new(StatusCode::UNAUTHORIZED, reason));
        match headers.get(AUTHORIZATION).map(|given| bearer(given.as_bytes())) {
            None => unauthorized("changing something needs the token: Authorization: Bearer TOKEN"),
            Some(Some(given)) if token.is(given) => Ok(()),
            Some(_) => unauthorized("that is not the token"),
        }
    }

    fn is_known(&self, name: &str, local: IpAddr) -> bool {
        let mut hosts = self.hosts.iter().map(String::as_str);
        match address(name) {
            Some(asked) => {
                let is_own = asked.is_loopback() || asked == local.to_canonical();
                is_own || hosts.any(|host| address(host) == Some(asked))
            }
            None => hosts.chain(["localhost"]).any(|host| name.eq_ignore_ascii_case(host)),
        }
    }
}

impl Token {
    /// # Errors
    /// When it is too short, or has something in it that no header may have.
    pub(crate) fn new(token: &str) -> Result<Self, String> {
        if token.len() < TOKEN_MIN {
            return Err(format!(
                "the token has {} bytes, and needs {TOKEN_MIN} or more",
                token.len()
            ));
        }
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("the token has something else in it than visible ASCII".to_owned());
        }
        Ok(Self(token.as_bytes().into()))
    }

    /// The time this takes says how long what was given is, and nothing of the token.
    fn is(&self, given: &[u8]) -> bool {
        let own = self.0.iter().cycle();
        let differing = given.iter().zip(own).fold(0, |all, (given, own)| all | (given ^ own));
        (std::hint::black_box(differing) == 0) & (given.len() == self.0.len())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Under which name the dashboard was asked.
fn asked_host(uri: &Uri, headers: &HeaderMap) -> Result<Authority, Refused> {
    let mut given = headers.get_all(HOST).iter();
    let (first, more) = (given.next(), given.next());
    let (Some(host), None) = (first, more) else {
        return Err(Refused::asked_wrong("a request has one Host"));
    };
    let host: Option<Authority> = host.to_str().ok().and_then(|host| host.parse().ok());
    match host {
        Some(host)
            if !host.as_str().contains('@')
                && uri.authority().is_none_or(|authority| *authority == host) =>
        {
            Ok(host)
        }
        _ => Err(Refused::asked_wrong("Host is no HOST or HOST:PORT, or not that of the request")),
    }
}

/// `[::1]` and `::1` are one, and so are an IPv4 address and the same written in IPv6.
fn address(name: &str) -> Option<IpAddr> {
    let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// TLS may end before the dashboard.
fn is_origin(origin: &[u8], host: &Authority) -> bool {
    let origin = std::str::from_utf8(origin).unwrap_or_default();
    let authority = ["http://", "https://"].iter().find_map(|scheme| origin.strip_prefix(scheme));
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host.as_str()))
}

/// `none`: whoever sits before the browser asked, not a page.
fn is_own_site(site: &[u8]) -> bool {
    matches!(site, b"same-origin" | b"none")
}

fn bearer(given: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = given.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const LOCAL: &str = "10.1.2.3";
    const OK: u16 = 200;

    fn headers(of: &[(HeaderName, &str)]) -> HeaderMap {
        let value = |value| HeaderValue::from_str(value).expect("a header's value");
        of.iter().map(|(name, given)| (name.clone(), value(given))).collect()
    }

    fn admitted(path: &str, given: &[(HeaderName, &str)]) -> u16 {
        let guard = Guard::new(vec!["dash.example".to_owned(), "10.9.9.9".to_owned()], None);
        let (uri, local) = (path.parse().expect("a path"), LOCAL.parse().expect("an address"));
        let found = guard.admit(&uri, &headers(given), local);
        found.map_or_else(|refused| refused.status.as_u16(), |()| OK)
    }

    #[test]
    fn only_its_own_names_and_addresses_are_answered() {
        for (host, status) in [
            ("localhost", OK),
            ("LOCALHOST:8080", OK),
            ("127.0.0.1:8080", OK),
            ("127.8.8.8", OK),
            ("[::1]:8080", OK),
            ("[::ffff:127.0.0.1]", OK),
            ("10.1.2.3:8080", OK),
            ("[::ffff:10.1.2.3]", OK),
            ("Dash.Example:1", OK),
            ("10.9.9.9", OK),
            ("10.1.2.4", 421),
            ("evil.example", 421),
            ("evil.example:8080", 421),
            ("localhost.evil.example", 421),
            ("127.0.0.1.evil.example", 421),
            ("notlocalhost", 421),
            ("0.0.0.0", 421),
            // Other ways to write 127.0.0.1 are names, and not ours.
            ("127.1", 421),
            ("2130706433", 421),
            ("0x7f.0.0.1", 421),
            ("user@localhost", 400),
            ("localhost/x", 400),
            ("localhost localhost", 400),
            ("", 400),
        ] {
            assert_eq!(admitted("/", &[(HOST, host)]), status, "{host:?}");
        }
        assert_eq!(admitted("/", &[]), 400, "no Host");
        let mut two = headers(&[(HOST, "localhost")]);
        two.append(HOST, HeaderValue::from_static("evil.example"));
        let local = LOCAL.parse().expect("an address");
        let refused = Guard::default().admit(&Uri::from_static("/"), &two, local);
        assert_eq!(refused.expect_err("two are refused").status.as_u16(), 400);
    }

    #[test]
    fn a_request_that_names_another_host_than_its_header_is_refused() {
        assert_eq!(admitted("http://localhost/", &[(HOST, "localhost")]), OK);
        assert_eq!(admitted("http://evil.example/", &[(HOST, "localhost")]), 400);
        assert_eq!(admitted("http://evil.example/", &[(HOST, "evil.example")]), 421);
    }

    #[test]
    fn only_its_own_pages_are_answered() {
        let host = (HOST, "localhost:8080");
        for (origin, status) in [
            ("http://localhost:8080", OK),
            ("https://localhost:8080", OK),
            ("HTTP://localhost:8080", 403),
            ("http://LOCALHOST:8080", OK),
            ("http://localhost:3000", 403),
            ("http://localhost", 403),
            ("http://127.0.0.1:8080", 403),
            ("http://evil.example", 403),
            ("http://localhost:8080.evil.example", 403),
            ("null", 403),
            ("", 403),
            ("file://", 403),
        ] {
            assert_eq!(admitted("/", &[host.clone(), (ORIGIN, origin)]), status, "{origin:?}");
        }
        let site = |path, site| admitted(path, &[host.clone(), (SEC_FETCH_SITE, site)]);
        assert_eq!(site("/", "cross-site"), OK, "a link from elsewhere");
        assert_eq!(site("/api/v1/overview", "same-origin"), OK);
        assert_eq!(site("/api/v1/overview", "none"), OK);
        assert_eq!(site("/api/v1/overview", "cross-site"), 403);
        assert_eq!(site("/api/v1/overview", "same-site"), 403);
    }

    #[test]
    fn only_the_token_lets_change_anything() {
        let token = "0123456789abcdef";
        let guard = Guard::new(Vec::new(), Token::new(token).ok());
        let asked = |guard: &Guard, given: Option<&str>| {
            let given = given.map(|given| (AUTHORIZATION, given));
            let found = guard.may_write(&headers(given.as_slice()));
            found.map_or_else(|refused| refused.status.as_u16(), |()| OK)
        };
        for (given, status) in [
            (Some("Bearer 0123456789abcdef"), OK),
            (Some("bearer  0123456789abcdef "), OK),
            (None, 401),
            (Some(""), 401),
            (Some("Bearer"), 401),
            (Some("Bearer "), 401),
            (Some("Basic 0123456789abcdef"), 401),
            (Some("0123456789abcdef"), 401),
            (Some("Bearer 0123456789abcdeF"), 401),
            (Some("Bearer 0123456789abcde"), 401),
            // Longer by itself again: each byte is right, and the length is not.
            (Some("Bearer 0123456789abcdef0123456789abcdef"), 401),
        ] {
            assert_eq!(asked(&guard, given), status, "{given:?}");
            assert_eq!(asked(&Guard::default(), given), 403, "without a token: {given:?}");
        }
        assert!(!format!("{guard:?}").contains(token));
    }

    #[test]
    fn a_token_that_can_be_guessed_or_not_be_sent_is_none() {
        assert!(Token::new("0123456789abcde").is_err());
        assert!(Token::new("0123456789 abcdef").is_err());
        assert!(Token::new("0123456789abcdé€").is_err());
    }
}
