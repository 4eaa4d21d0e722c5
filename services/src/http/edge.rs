//! The router as a service, for sockets and for calls without them.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_service::Service;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::path::FullPath;

use super::body;
use super::recover::recover;
use super::respond::Response;
use super::router::{Head, Router};

/// Everything one listener answers; clones share the state and the caps.
///
/// It is a `tower_service::Service` of `http::Request` with any body: [`super::server::serve`] gives
/// it sockets, [`super::in_process::call`] does without. It answers every request and never fails.
#[derive(Clone)]
pub struct Edge {
    routes: BoxedFilter<(Response,)>,
}

impl Edge {
    pub(super) fn new<S: Send + Sync + 'static>(router: Router<S>) -> Self {
        let router = Arc::new(router);
        let query = warp::query::raw().or(warp::any().map(String::new)).unify();
        let routes = warp::method()
            .and(warp::path::full())
            .and(query)
            .and(warp::header::headers_cloned())
            .and(warp::body::stream())
            .then(move |method, path: FullPath, query, headers, body| {
                let router = Arc::clone(&router);
                let head = Head { method, path: path.as_str().to_owned(), query, headers };
                async move { router.answer(head, body::boxed(body)).await }
            })
            .recover(recover)
            .unify()
            .boxed();
        Self { routes }
    }
}

impl<B> Service<http::Request<B>> for Edge
where
    B: http_body::Body + Send + Sync + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        Box::pin(warp::service(self.routes.clone()).call(request))
    }
}

impl fmt::Debug for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Edge")
    }
}
