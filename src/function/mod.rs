//! What the engine calls: the function process-csv-upload.
