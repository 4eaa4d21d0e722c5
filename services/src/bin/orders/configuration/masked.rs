//! Values as they may be printed.

use bus::BusUrl;

const MASK: &str = "***";

/// `value` without what is secret in it: all of a secret setting, else the password in a URL and the
/// secret options behind it, even when the URL is not legal.
pub(crate) fn masked(value: &str, is_secret: bool) -> String {
    if is_secret {
        return MASK.to_owned();
    }
    match BusUrl::parse(value) {
        Ok(url) => url.to_string(),
        Err(_) => match value.rsplit_once('@') {
            Some((_, rest)) => format!("{MASK}@{}", rest.split('?').next().unwrap_or_default()),
            None => value.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn no_password_is_printed() {
        let check = |value: &str, secret: bool, shown: &str| assert_eq!(masked(value, secret), shown);
        check("hunter2", true, "***");
        check("amqp://me:hunter2@host/v?sasl_password=hunter3", false, "amqp://me:***@host/v?sasl_password=***");
        check("me:hunter2@host", false, "***@host");
        check("http://127.0.0.1:8080", false, "http://127.0.0.1:8080");
        check("info,bus=debug", false, "info,bus=debug");
    }
}
