// A receiver of webhooks in Go: WEBHOOK_SECRET, PORT.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

type flag struct {
	Flag   string `json:"flag"`
	Change string `json:"change"`
}

type event struct {
	Data struct {
		flag
		Flags []flag `json:"flags"` // of a digest
	} `json:"data"`
}

func take(received event) {
	flags := received.Data.Flags
	if flags == nil {
		flags = []flag{received.Data.flag}
	}
	for _, each := range flags {
		fmt.Println(each.Change, each.Flag)
	}
}

func main() {
	webhook, err := standardwebhooks.NewWebhook(os.Getenv("WEBHOOK_SECRET"))
	if err != nil {
		log.Fatal(err)
	}
	var seen sync.Map // ids of messages; a real receiver keeps them where they outlast a restart
	handler := func(response http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(response, request.Body, 1_000_000))
		if err == nil {
			err = webhook.Verify(body, request.Header) // the bytes as they were received
		}
		if err != nil {
			http.Error(response, err.Error(), http.StatusUnauthorized)
			return
		}
		if _, known := seen.LoadOrStore(request.Header.Get("webhook-id"), true); !known {
			var received event // a message may come more than once
			if json.Unmarshal(body, &received) == nil {
				take(received)
			}
		}
		response.WriteHeader(http.StatusNoContent)
	}
	port := os.Getenv("PORT")
	if port == "" {
		port = "8000"
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", listener.Addr().(*net.TCPAddr).Port)
	log.Fatal(http.Serve(listener, http.HandlerFunc(handler)))
}
