//! Keys of the mesh on their way to another host: over TLS they go, in plain text they do not.

use llmesh::{
    base::Error,
    mesh::{
        BoxFuture,
        connect::{BoxIo, Connect, Dial, Tcp},
    },
};

use super::*;

/// Every address is one of this machine.
struct Here;

impl Connect for Here {
    fn connect(&self, address: SocketAddr, dial: Dial) -> BoxFuture<'_, Result<BoxIo, Error>> {
        Tcp.connect(SocketAddr::from(([127, 0, 0, 1], address.port())), dial)
    }
}

#[tokio::test]
async fn a_key_of_the_mesh_goes_to_another_host_over_tls_alone() {
    let (ca, folder) = (Ca::new("ca"), Folder::new());
    folder.write("ca.pem", &ca.pem());
    folder.write("key", "ours");
    let key = folder.0.join("key");
    for (port, tls, credentials, status) in [
        ("protocol: HTTPS", simple(&folder), "", 200),
        ("protocol: HTTP", simple(&folder), "", 200),
        ("protocol: HTTP", "mode: DISABLE".to_owned(), "", 503),
        // Allowed, it meets a server that waits for TLS.
        (
            "protocol: HTTP",
            "mode: DISABLE".to_owned(),
            ", credentials: {plaintext: true}",
            502,
        ),
    ] {
        let server = Server::start(ca.leaf(&[HOST]).server(&["http/1.1"])).await;
        let far = SocketAddr::from(([10, 9, 9, 9], server.addr.port()));
        let spec = format!(
            "---\napiVersion: llmesh.io/v1alpha1\nkind: LlmPolicy\nmetadata: {{name: llm, namespace: n}}\nspec: {{hosts: [{HOST}], credential: {{file: {}}}{credentials}}}\n",
            key.display()
        );
        let text = mesh(&[far], port, &policy(&tls)) + &spec;
        let mut options = Options::new(Input::inline(vec![Source::new("mesh.yaml", text)]));
        options.outbound = ([127, 0, 0, 1], 0).into();
        options.admin = None;
        options.connect = Arc::new(Here);
        let proxy = Proxy::start(options).await.unwrap();
        let request = Request::post("/v1/chat/completions")
            .header("host", HOST)
            .body(Body::from("{}"));
        let reply = Caller::http1(proxy.outbound())
            .await
            .send(request.unwrap())
            .await;
        let served = u64::from(status == 200);
        assert_eq!(server.requests(), served, "{port} {tls}");
        assert!(
            reply.status == status || (status == 502 && reply.status == 503),
            "{port} {tls}: {} {}",
            reply.status,
            reply.body
        );
        let withheld = reply.body.contains("without TLS");
        assert_eq!(withheld, status == 503, "{}", reply.body);
    }
}
