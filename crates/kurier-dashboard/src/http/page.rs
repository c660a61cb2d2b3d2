//! The page: three files that are part of the binary.

use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};

use super::asked::NothingAsked;

pub(super) async fn index(_: NothingAsked) -> Response {
    file("text/html; charset=utf-8", include_str!("../page/index.html"))
}

pub(super) async fn style(_: NothingAsked) -> Response {
    file("text/css; charset=utf-8", include_str!("../page/dashboard.css"))
}

pub(super) async fn script(_: NothingAsked) -> Response {
    file("text/javascript; charset=utf-8", include_str!("../page/dashboard.js"))
}

fn file(kind: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static(kind))], text).into_response()
}
