module csv-importer

go 1.25.9

require github.com/inngest/inngestgo v0.15.2-0.20260522205623-83a02d80db93
