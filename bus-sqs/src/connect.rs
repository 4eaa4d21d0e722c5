//! The SDK's client: credentials, timeouts, TLS.

use std::time::Duration;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::config::{
    BehaviorVersion, Config, Credentials, ProvideCredentials, Region, SharedCredentialsProvider, SharedHttpClient,
    StalledStreamProtectionConfig,
};
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use tracing::info;

use crate::config::SqsOptions;

/// Time to connect; then the endpoint counts as unreachable.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// Time for one call. A poll gets its waiting time on top.
const CALL_MAX: Duration = Duration::from_secs(10);

/// One client for calls and one for polls, which take longer by nature (aws-sdk-rust#1094).
#[derive(Clone, Debug)]
pub(crate) struct Clients {
    pub(crate) calls: Client,
    pub(crate) polls: Client,
}

pub(crate) async fn connect(options: &SqsOptions) -> Clients {
    let http = aws_smithy_http_client::Builder::new();
    let is_plain = options.endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("http://"));
    let http = match is_plain {
        true => http.build_http(),
        false => http.tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https(),
    };
    let credentials = credentials(options, &http).await;
    let timeouts =
        |call: Duration| TimeoutConfig::builder().connect_timeout(CONNECT_MAX).operation_timeout(call).build();
    let mut base = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(options.region.clone()))
        .credentials_provider(credentials)
        .http_client(http)
        // Retries are counted and decided here, where outcomes are told per message.
        .retry_config(RetryConfig::disabled())
        // A long poll is a stalled stream by design (aws-sdk-rust#1148).
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    base.set_endpoint_url(options.endpoint.clone());
    let calls = base.clone().timeout_config(timeouts(CALL_MAX)).build();
    let polls = base.timeout_config(timeouts(CALL_MAX + options.wait)).build();
    Clients { calls: Client::from_conf(calls), polls: Client::from_conf(polls) }
}

/// The default chain; on a loopback endpoint without instance metadata, which would only be waited
/// for, and with `test`/`test` where the chain is empty.
async fn credentials(options: &SqsOptions, http: &SharedHttpClient) -> SharedCredentialsProvider {
    let region = Region::new(options.region.clone());
    let config = ProviderConfig::without_region().with_region(Some(region)).with_http_client(http.clone());
    if !options.is_loopback() {
        return SharedCredentialsProvider::new(DefaultCredentialsChain::builder().configure(config).build().await);
    }
    let chain = CredentialsProviderChain::first_try("Environment", EnvironmentVariableCredentialsProvider::new())
        .or_else("Profile", ProfileFileCredentialsProvider::builder().configure(&config).build());
    match chain.provide_credentials().await {
        Ok(_) => SharedCredentialsProvider::new(chain),
        Err(error) => {
            info!(cause = %error, "no AWS credentials for the loopback endpoint: using test/test");
            SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "loopback"))
        }
    }
}
