// Handles Runboard's event, counts the rows of its file, and reports its progress.
package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/inngest/inngestgo"
	"github.com/inngest/inngestgo/step"
)

type Upload struct {
	File string `json:"file"`
}

type Counts struct {
	ProcessedItems int64 `json:"processedItems"`
	FailedItems    int64 `json:"failedItems"`
}

func main() {
	client, err := inngestgo.NewClient(inngestgo.ClientOpts{AppID: "csv-importer"})
	if err != nil {
		log.Fatal(err)
	}
	_, err = inngestgo.CreateFunction(
		client,
		inngestgo.FunctionOpts{ID: "import-csv"},
		inngestgo.EventTrigger("imports/csv.uploaded", nil),
		func(ctx context.Context, input inngestgo.Input[Upload]) (any, error) {
			return step.Run(ctx, "read the file", func(ctx context.Context) (Counts, error) {
				return read(ctx, client, input.InputCtx.RunID, input.Event.Data.File)
			})
		},
	)
	if err != nil {
		log.Fatal(err)
	}
	port := os.Getenv("PORT")
	if port == "" {
		port = "3000"
	}
	http.Handle("/api/inngest", client.Serve())
	fmt.Printf("http://127.0.0.1:%s/api/inngest\n", port)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+port, nil))
}

// read counts the rows after the header. A row is good if it has as many fields as the header.
func read(ctx context.Context, client inngestgo.Client, run, address string) (Counts, error) {
	var counts Counts
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return counts, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return counts, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return counts, fmt.Errorf("the address of the file answered %s", response.Status)
	}
	rows := csv.NewReader(response.Body)
	rows.LazyQuotes = true
	rows.ReuseRecord = true
	told := time.Now()
	// The reader expects the width of the first row, the header, in all rows.
	if _, err := rows.Read(); err != nil && err != io.EOF {
		return counts, err
	}
	for {
		_, err := rows.Read()
		switch {
		case err == io.EOF:
			return counts, nil
		case err == nil:
			// Your work with the row goes here.
			counts.ProcessedItems++
		case errors.Is(err, csv.ErrFieldCount):
			counts.FailedItems++
		default:
			return counts, err
		}
		if time.Since(told) >= time.Second {
			told = time.Now()
			progress := map[string]any{
				"runId":          run,
				"processedItems": counts.ProcessedItems,
				"failedItems":    counts.FailedItems,
			}
			// The next report replaces a lost one.
			_, _ = client.Send(ctx, inngestgo.Event{Name: "imports/csv.progress", Data: progress})
		}
	}
}
