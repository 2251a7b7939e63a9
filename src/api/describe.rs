//! An import as a webhook tells it: the same JSON as that of `GET /api/v1/imports/{id}`.

use std::sync::Arc;

use super::{imports::whole, inputs};
use crate::{imports::Imports, report::EngineName, store::Store, webhooks::Describe};

/// Describes imports that have ended.
#[must_use]
pub fn describer(imports: Imports, store: Store, engine: EngineName) -> Describe {
    Arc::new(move |owner, id| {
        let (imports, store) = (imports.clone(), store.clone());
        Box::pin(async move {
            let Some(import) = imports.recorded_end(owner, id).await? else { return Ok(None) };
            let told = whole(&import, &store, &inputs(&engine)).await;
            let told = told.map_err(|problem| anyhow::anyhow!("{problem:?}"))?;
            Ok(Some(serde_json::to_string(&told)?))
        })
    })
}
