//! What pages and `proxy-config` show of TLS: names, dates and places, never a key.

use serde_json::Value;

use super::*;

#[tokio::test]
async fn what_is_spoken_and_the_certificates_in_force() {
    let (ca, folder) = (Ca::new("private authority"), Folder::new());
    let leaf = ca.leaf(&["client.example"]);
    let key = leaf.key.serialize_pem();
    folder.write("ca.pem", &ca.pem());
    folder.write("c.pem", &leaf.pem);
    folder.write("k.pem", &key);
    let server = Server::start(ca.leaf(&[HOST]).server_for(&["h2"], Some(&ca))).await;
    let block = mutual(&folder) + ", subjectAltNames: [llm.example, 'spiffe://x/*']";
    let gate = Gate::new(&mesh(&[server.addr], "protocol: HTTPS", &policy(&block))).await;
    assert_eq!(gate.ask().await.0.status, 200);

    let clusters = gate.page("/clusters").await;
    let roots = format!("file {}", path(&folder, "ca.pem").display());
    for line in [
        "mode::MUTUAL".to_owned(),
        format!("sni::{HOST}"),
        "subject_alt_names::llm.example,spiffe://x/*".to_owned(),
        format!("roots::{roots}"),
        format!("certificate::file {}", path(&folder, "c.pem").display()),
    ] {
        let line = format!("{CLUSTER}::tls::{line}\n");
        assert!(clusters.contains(&line), "{line} is in {clusters}");
    }
    let read =
        async |path: &str| -> Value { serde_json::from_str(&gate.page(path).await).unwrap() };
    let status = read("/clusters?format=json").await;
    let tls = &status["cluster_statuses"][0]["tls"];
    assert_eq!(
        (&tls["mode"], &tls["sni"]),
        (&"MUTUAL".into(), &HOST.into())
    );
    assert_eq!(tls["roots"], *roots);

    let dump = read("/config_dump").await;
    let socket = &dump["configs"][2]["dynamic_active_clusters"][0]["cluster"]["transport_socket"];
    let context = &socket["typed_config"];
    assert_eq!(context["sni"], HOST);
    let common = &context["common_tls_context"];
    assert_eq!(
        common["alpn_protocols"],
        serde_json::json!(["h2", "http/1.1"])
    );
    let names = &common["validation_context"]["match_typed_subject_alt_names"];
    assert_eq!(names[1]["matcher"]["prefix"], "spiffe://x/");

    let certs = read("/certs").await;
    let [own, authority] = [0, 1].map(|i| &certs["certificates"][i]);
    let own = &own["cert_chain"][0];
    assert_eq!(own["subject_alt_names"][0]["dns"], "client.example");
    assert!(own["days_until_expiration"].as_i64() > Some(0), "{own}");
    let authority = &authority["ca_cert"][0];
    assert_eq!(authority["subject"], "CN=private authority");
    assert_eq!(certs["certificates"].as_array().map(Vec::len), Some(2));

    let body: String = key.lines().skip(1).take(1).collect();
    for page in [
        "/clusters",
        "/clusters?format=json",
        "/config_dump",
        "/certs",
        "/stats",
    ] {
        let page = gate.page(page).await;
        assert!(!page.contains(&body) && !page.contains("PRIVATE"), "{page}");
    }
}

#[tokio::test]
async fn what_cannot_be_spoken_says_why() {
    let endpoint = SocketAddr::from(([127, 0, 0, 1], 1));
    let gate = Gate::new(&mesh(
        &[endpoint],
        "protocol: HTTPS",
        "tls: {mode: ISTIO_MUTUAL}",
    ))
    .await;
    let (reply, _) = gate.ask().await;
    assert_eq!(reply.status, 503);
    let clusters = gate.page("/clusters").await;
    assert!(
        clusters.contains("::tls::unmet::ISTIO_MUTUAL needs"),
        "{clusters}"
    );
    assert!(
        gate.page("/certs").await.contains("\"certificates\": []")
            || gate.page("/certs").await.contains("\"certificates\":[]")
    );
}
