//! Two authorities, and certificates of theirs: the node's, one that is for another host, a client's, and
//! a client's of the authority that nobody trusts.

use std::fs;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use super::rights::WORKER;

/// Writes them into `folder`.
pub fn write(folder: &Path) -> anyhow::Result<()> {
    let trusted = authority(folder, "ca")?;
    let rogue = authority(folder, "rogue-ca")?;
    leaf(folder, "server", "server", &["localhost", "127.0.0.1"], &trusted)?;
    leaf(folder, "elsewhere", "elsewhere", &["elsewhere.test"], &trusted)?;
    leaf(folder, "client", WORKER, &[], &trusted)?;
    leaf(folder, "rogue", WORKER, &[], &rogue)
}

fn authority(folder: &Path, name: &str) -> anyhow::Result<Issuer<'static, KeyPair>> {
    let mut wanted = CertificateParams::new(Vec::new())?;
    wanted.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    wanted.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    wanted.distinguished_name.remove(DnType::CommonName);
    wanted.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate()?;
    fs::write(folder.join(format!("{name}.pem")), wanted.self_signed(&key)?.pem())?;
    Ok(Issuer::new(wanted, key))
}

/// `NAME.pem`, `NAME.key`, and both in one as Kafka wants it.
fn leaf(
    folder: &Path,
    name: &str,
    common_name: &str,
    hosts: &[&str],
    issuer: &Issuer<'static, KeyPair>,
) -> anyhow::Result<()> {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut wanted = CertificateParams::new(hosts)?;
    wanted.distinguished_name.remove(DnType::CommonName);
    wanted.distinguished_name.push(DnType::CommonName, common_name);
    wanted.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    wanted.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate()?;
    let (certificate, key_text) = (wanted.signed_by(&key, issuer)?.pem(), key.serialize_pem());
    fs::write(folder.join(format!("{name}.pem")), &certificate)?;
    fs::write(folder.join(format!("{name}.key")), &key_text)?;
    fs::write(folder.join(format!("{name}.keystore.pem")), key_text + &certificate)?;
    Ok(())
}
