//! One row of the route table: a path and what each method does there.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::Method;

use super::bearer::Bearer;
use super::pattern::Pattern;
use super::problem::Problem;
use super::request::Request;
use super::respond::Response;

/// What a handler returns: errors are values, never rejections.
pub type Answer = Result<Response, Problem>;

pub(super) type Handler<S> = Box<dyn Fn(Arc<S>, Request) -> BoxFuture<'static, Answer> + Send + Sync>;

/// A path pattern and its handlers, over the application's state `S`.
pub struct Resource<S> {
    pub(super) pattern: Pattern,
    pub(super) guard: Option<Bearer>,
    pub(super) capped: bool,
    handlers: Vec<(Method, Handler<S>)>,
}

impl<S: Send + Sync + 'static> Resource<S> {
    /// A resource without methods at `/literal/{placeholder}` paths.
    ///
    /// # Panics
    ///
    /// When the pattern does not begin with `/`.
    #[must_use]
    pub fn at(pattern: &'static str) -> Self {
        Self { pattern: Pattern::new(pattern), guard: None, capped: true, handlers: Vec::new() }
    }

    /// Answers `GET`, and `HEAD` by the same handler without the body.
    #[must_use]
    pub fn get<H, F>(self, handler: H) -> Self
    where
        H: Fn(Arc<S>, Request) -> F + Send + Sync + 'static,
        F: Future<Output = Answer> + Send + 'static,
    {
        self.on(Method::GET, handler)
    }

    /// Answers `POST`.
    #[must_use]
    pub fn post<H, F>(self, handler: H) -> Self
    where
        H: Fn(Arc<S>, Request) -> F + Send + Sync + 'static,
        F: Future<Output = Answer> + Send + 'static,
    {
        self.on(Method::POST, handler)
    }

    /// Answers `PUT`.
    #[must_use]
    pub fn put<H, F>(self, handler: H) -> Self
    where
        H: Fn(Arc<S>, Request) -> F + Send + Sync + 'static,
        F: Future<Output = Answer> + Send + 'static,
    {
        self.on(Method::PUT, handler)
    }

    /// Opens only to the bearer of this token; `None` leaves it open.
    #[must_use]
    pub fn guarded_by(mut self, guard: impl Into<Option<Bearer>>) -> Self {
        self.guard = guard.into();
        self
    }

    /// Answers even when the cap on running requests is reached, as a health check must.
    #[must_use]
    pub fn uncapped(mut self) -> Self {
        self.capped = false;
        self
    }

    fn on<H, F>(mut self, method: Method, handler: H) -> Self
    where
        H: Fn(Arc<S>, Request) -> F + Send + Sync + 'static,
        F: Future<Output = Answer> + Send + 'static,
    {
        let boxed = move |state, request| -> BoxFuture<'static, Answer> { Box::pin(handler(state, request)) };
        self.handlers.push((method, Box::new(boxed)));
        self
    }

    pub(super) fn handler(&self, method: &Method) -> Option<&Handler<S>> {
        let wanted = if method == Method::HEAD { &Method::GET } else { method };
        self.handlers.iter().find(|(known, _)| known == wanted).map(|(_, handler)| handler)
    }

    /// What `Allow` lists: the handlers' methods and those the router answers itself.
    pub(super) fn allowed(&self) -> Vec<Method> {
        let mut methods = Vec::new();
        for (method, _) in &self.handlers {
            methods.push(method.clone());
            if method == Method::GET {
                methods.push(Method::HEAD);
            }
        }
        methods.push(Method::OPTIONS);
        methods
    }
}
