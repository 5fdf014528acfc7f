// SPDX-License-Identifier: MPL-2.0

package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"gopkg.in/yaml.v3"
)

// Apply makes the objects of a manifest, YAML documents, those that are of a namespace in
// that one. A field that the server does not know fails the test.
func (k *Kubernetes) Apply(namespace string, manifest []byte) {
	k.t.Helper()
	documents := yaml.NewDecoder(bytes.NewReader(manifest))
	for {
		var o object
		err := documents.Decode(&o)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			k.t.Fatal(err)
		}
		if len(o) > 0 {
			k.create(namespace, o)
		}
	}
}

// create makes an object, as soon as its kind is served: a new one is not at once.
func (k *Kubernetes) create(namespace string, o object) {
	k.t.Helper()
	what := fmt.Sprintf("%v %v", o["kind"], o["metadata"].(object)["name"])
	Eventually(k.t, UpTime, what+" is made", func() error {
		path, err := k.collection(namespace, o)
		if err != nil {
			return err
		}
		status, body, err := k.call(http.MethodPost, path+"?fieldValidation=Strict", o)
		switch {
		case err != nil:
			return err
		case status == http.StatusNotFound:
			return fmt.Errorf("%s: %s", path, body)
		case status != http.StatusCreated:
			k.t.Fatalf("%s: status %d: %s", what, status, body)
		}
		return nil
	})
}

// collection is the path of the objects of a kind.
func (k *Kubernetes) collection(namespace string, o object) (string, error) {
	version, kind := fmt.Sprint(o["apiVersion"]), o["kind"]
	path := "/apis/" + version
	if !strings.Contains(version, "/") {
		path = "/api/" + version
	}
	var served struct {
		Resources []struct {
			Name       string `json:"name"`
			Kind       string `json:"kind"`
			Namespaced bool   `json:"namespaced"`
		} `json:"resources"`
	}
	_, body, err := k.call(http.MethodGet, path, nil)
	if err != nil {
		return "", err
	}
	if err := json.Unmarshal(body, &served); err != nil {
		return "", fmt.Errorf("%s: %w in %s", path, err, body)
	}
	for _, r := range served.Resources {
		switch {
		case r.Kind != kind || strings.Contains(r.Name, "/"): // another, or a part of one
		case r.Namespaced:
			return path + "/namespaces/" + namespace + "/" + r.Name, nil
		default:
			return path + "/" + r.Name, nil
		}
	}
	return "", fmt.Errorf("%s %s is not served", version, kind)
}

// Watch tells of each change of the objects under a path, until the test ends: of the type
// of the change, and what the object is since.
func (k *Kubernetes) Watch(path string, changed func(change string, o []byte)) {
	k.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	resp, err := k.send(ctx, http.MethodGet, path, nil)
	if err != nil {
		stop()
		k.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer resp.Body.Close()
		for stream := json.NewDecoder(resp.Body); ; {
			var event struct {
				Type   string          `json:"type"`
				Object json.RawMessage `json:"object"`
			}
			if err := stream.Decode(&event); ctx.Err() != nil {
				return
			} else if err != nil {
				k.t.Errorf("watching %s: %v", path, err)
				return
			}
			changed(event.Type, event.Object)
		}
	}()
	k.t.Cleanup(func() {
		stop()
		<-ended
	})
}

// call makes a request that ends within callTime.
func (k *Kubernetes) call(method, path string, body object) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	resp, err := k.send(ctx, method, path, body)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}

// send makes a request with a JSON body, none if body is nil.
func (k *Kubernetes) send(ctx context.Context, method, path string, body object) (*http.Response, error) {
	var payload []byte
	if body != nil {
		var err error
		if payload, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, k.addr+path, bytes.NewReader(payload))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+k.token)
	req.Header.Set("Content-Type", "application/json")
	return k.client.Do(req)
}
