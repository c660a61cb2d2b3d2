//! Where a webhook is, and how to get in there. What is secret in it is never shown.

use std::fmt;
use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::Uri;
use hyper::header::HeaderValue;
use hyper::http::uri::Authority;

use crate::exit::UsageError;
use crate::settings;

/// A webhook's address.
#[derive(Clone)]
pub struct Endpoint {
    /// Without user and password.
    pub uri: Uri,
    /// The header `Authorization`.
    pub authorization: Option<HeaderValue>,
}

impl Endpoint {
    /// Reads an address. A user in it becomes Basic authorization, unless `authorization`, a file, says
    /// another.
    ///
    /// # Errors
    /// When it is no address of HTTP, without a word of what it is; when the file can't be read.
    pub fn read(url: &str, authorization: Option<&Path>) -> Result<Self, UsageError> {
        let (uri, user) =
            parse(url).map_err(|reason| UsageError(format!("--webhook: {reason}")))?;
        let authorization = match (authorization, user) {
            (Some(path), _) => Some(from_file(path)?),
            (None, Some(user)) => {
                tracing::warn!(
                    "--webhook has a user in it: everybody on this machine can read it there; --webhook-auth-file \
                     keeps it to yourself"
                );
                Some(secret(&format!("Basic {}", BASE64.encode(user))).map_err(UsageError)?)
            }
            (None, None) => None,
        };
        Ok(Self { uri, authorization })
    }
}

/// Scheme and host: in what follows them there may be a secret, too.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = self.uri.authority().map_or("", Authority::as_str);
        write!(f, "{}://{authority}/…", self.uri.scheme_str().unwrap_or("http"))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The address, and the user with the password, if they are in it.
fn parse(url: &str) -> Result<(Uri, Option<Vec<u8>>), &'static str> {
    const EXPECTED: &str = "expected an address such as https://host:8443/path";
    let uri: Uri = url.parse().map_err(|_| EXPECTED)?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err("only http:// and https:// can be posted to");
    }
    let mut parts = uri.into_parts();
    let authority = parts.authority.take().ok_or(EXPECTED)?;
    let (user, host) = match authority.as_str().rsplit_once('@') {
        Some((user, host)) => (Some(unescaped(user).ok_or(EXPECTED)?), host),
        None => (None, authority.as_str()),
    };
    let host: Authority = host.parse().map_err(|_| EXPECTED)?;
    let port = host.as_str().strip_prefix(host.host()).unwrap_or_default();
    if host.host().is_empty() || (!port.is_empty() && host.port_u16().is_none_or(|it| it == 0)) {
        return Err(EXPECTED);
    }
    parts.authority = Some(host);
    Ok((Uri::from_parts(parts).map_err(|_| EXPECTED)?, user))
}

/// Percent signs read as RFC 3986 says.
fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let (digits, behind) = rest.split_at_checked(2)?;
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let number = digit(digits[0])? * 16 + digit(digits[1])?;
        bytes.push(u8::try_from(number).ok()?);
        rest = behind;
    }
    Some(bytes)
}

fn from_file(path: &Path) -> Result<HeaderValue, UsageError> {
    let wrong =
        |reason: String| UsageError(format!("--webhook-auth-file {}: {reason}", path.display()));
    settings::warn_of_readers(path);
    let text = fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    match text.trim() {
        "" => Err(wrong("it is empty".to_owned())),
        text => secret(text).map_err(wrong),
    }
}

fn secret(text: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| "expected one line such as `Bearer …`, in ASCII".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_http_are_taken_and_others_are_not_repeated() {
        for url in ["http://a", "https://a.b:8443/p?q=1", "http://[::1]:80/", "http://127.0.0.1:1"]
        {
            assert!(Endpoint::read(url, None).is_ok(), "{url}");
        }
        let bad = [
            "",
            "a",
            "/p",
            "a.b:80",
            "ftp://a/secret",
            "http://",
            "http:///p",
            "http://a:0/",
            "http://a:99999/",
            "http://a:b@c:x/",
            "http://user%zz:secret@a/",
            "http://a b/",
            "file:///secret",
            "http://:80/",
        ];
        for url in bad {
            let error = Endpoint::read(url, None).expect_err(url).to_string();
            assert!(
                error.starts_with("--webhook: ") && !error.contains("secret"),
                "{url}: {error}"
            );
        }
    }

    #[test]
    fn a_user_becomes_a_header_and_is_shown_nowhere() {
        let endpoint = Endpoint::read("https://me:p%40ss@a:1/token?key=secret", None).unwrap();
        assert_eq!(endpoint.uri, "https://a:1/token?key=secret");
        let header = endpoint.authorization.clone().unwrap();
        assert_eq!(header, format!("Basic {}", BASE64.encode("me:p@ss")));
        assert_eq!(
            format!("{endpoint} {endpoint:?} {header:?}"),
            "https://a:1/… https://a:1/… Sensitive"
        );
    }

    #[test]
    fn a_file_says_how_to_get_in() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let read = |text: &str| {
            fs::write(file.path(), text).unwrap();
            Endpoint::read("http://me:pass@a/", Some(file.path()))
        };
        assert_eq!(read("Bearer abc\n").unwrap().authorization.unwrap(), "Bearer abc");
        for text in ["", "\n", "Bearer abc\nX: y"] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.starts_with("--webhook-auth-file ") && !error.contains("abc"), "{error}");
        }
    }
}
