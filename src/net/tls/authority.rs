//! A certificate authority of one's own, for the demo and the tests: ECDSA P-256 with SHA-256.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::model::secret::Secret;
use crate::model::time::Timestamp;
use crate::net::Error;
use crate::net::tls::failed;

const DAY: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// An authority that can issue certificates. Its key never leaves it.
#[derive(Debug)]
pub struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A server's certificate with its key.
#[derive(Debug)]
pub struct Leaf {
    /// The certificate, PEM.
    pub certificate: String,
    /// Its key, PEM.
    pub key: Secret<String>,
}

impl Authority {
    /// A new one, good for `days` from `now`.
    ///
    /// # Errors
    /// When the key cannot be made.
    pub fn new(name: &str, now: Timestamp, days: u32) -> Result<Self, Error> {
        let key = KeyPair::generate().map_err(|error| failed("make a key", &error))?;
        let mut params = CertificateParams::default();
        validity(&mut params, now, days);
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params
            .self_signed(&key)
            .map_err(|error| failed("make a certificate", &error))?
            .pem();
        let issuer = Issuer::new(params, key);
        Ok(Self {
            certificate,
            issuer,
        })
    }

    /// Its certificate, PEM: what clients trust.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A certificate for a server with these names (host names or addresses).
    ///
    /// # Errors
    /// When a name is none or the key cannot be made.
    pub fn issue(&self, names: &[&str], now: Timestamp, days: u32) -> Result<Leaf, Error> {
        let key = KeyPair::generate().map_err(|error| failed("make a key", &error))?;
        let owned: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params =
            CertificateParams::new(owned).map_err(|error| failed("make a certificate", &error))?;
        validity(&mut params, now, days);
        params.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(first) = names.first() {
            params.distinguished_name.push(DnType::CommonName, *first);
        }
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params
            .signed_by(&key, &self.issuer)
            .map_err(|error| failed("make a certificate", &error))?
            .pem();
        let key = Secret::new(key.serialize_pem());
        Ok(Leaf { certificate, key })
    }
}

/// From the day before `now`, for clocks that disagree, to `days` after it.
fn validity(params: &mut CertificateParams, now: Timestamp, days: u32) {
    let date = |time: Timestamp| {
        let time = jiff::Timestamp::from_microsecond(time.micros()).unwrap_or_default();
        let date = jiff::tz::TimeZone::UTC.to_datetime(time).date();
        let part = |number: i8| u8::try_from(number).unwrap_or(1);
        rcgen::date_time_ymd(date.year().into(), part(date.month()), part(date.day()))
    };
    params.not_before = date(now.before(DAY));
    params.not_after = date(now.after(DAY.saturating_mul(days)));
}
