//! `RUNBOARD_STORAGE_LINKS`: how a signed link to an upload is answered.

use std::time::Duration;

use reqwest::{Method, StatusCode, header};
use runboard::{
    base::{config::StorageLinks, time::UnixMillis},
    files::LinkKey,
    store::Store,
};

use crate::support::{TestApp, s3::S3Server, spawn_app_on};

/// The path and query of the link to an import's file.
async fn link(app: &TestApp, import: &str) -> String {
    let database = format!("sqlite://{}", app.data.path().join("runboard.db").display());
    let store = Store::open(&database).await.unwrap();
    let key = hex::decode(store.setting_if_known("link_key").await.unwrap().unwrap()).unwrap();
    store.close().await;
    let id = import.rsplit('/').next().unwrap().parse().unwrap();
    let expires = UnixMillis::wall().plus(Duration::from_secs(60));
    let link = LinkKey::new(key.try_into().unwrap()).sign(&app.origin.parse().unwrap(), id, expires);
    format!("{}?{}", link.path(), link.query().unwrap())
}

#[tokio::test]
async fn a_link_leads_to_the_bucket_only_if_the_operator_wants_that() {
    let server = S3Server::start().await;
    let mut data = tempfile::tempdir().unwrap();
    let mut email = "mira@example.org";
    for links in [StorageLinks::Through, StorageLinks::Direct] {
        let mut bucket = server.config();
        bucket.links = links;
        let app = spawn_app_on(data, |config| config.bucket = Some(bucket)).await;
        let mut visitor = app.visitor();
        visitor.sign_up(email).await;
        email = "ada@example.org";
        let csv = "id,name\n1,a\n2,b\n";
        let import = visitor.upload("orders.csv", csv).await;
        assert_eq!(visitor.wait_for_state(&import, "Completed").await.counts(), (2, 0));
        // Nobody is signed in.
        let answer = app.visitor().get(&link(&app, &import).await).await;
        let text = match links {
            StorageLinks::Through => {
                assert_eq!(answer.status(), StatusCode::OK);
                answer.text().await.unwrap()
            }
            StorageLinks::Direct => {
                assert_eq!(answer.status(), StatusCode::TEMPORARY_REDIRECT);
                // The bucket's link is for GET.
                let head =
                    app.visitor().request(Method::HEAD, &link(&app, &import).await).send().await.unwrap();
                assert_eq!(head.status(), StatusCode::OK);
                assert_eq!(head.headers()[header::CONTENT_LENGTH], csv.len().to_string());
                let to = answer.headers()[header::LOCATION].to_str().unwrap().to_owned();
                assert!(
                    to.starts_with(server.origin.join("files/of/runboard/uploads/").unwrap().as_str()),
                    "{to}"
                );
                assert!(to.contains("X-Amz-Signature="), "{to}");
                reqwest::get(to).await.unwrap().text().await.unwrap()
            }
        };
        assert_eq!(text, csv);
        let wrong = app.visitor().get(&format!("{}0", link(&app, &import).await)).await;
        assert_eq!(wrong.status(), StatusCode::NOT_FOUND);
        data = app.stop().await;
    }
}
