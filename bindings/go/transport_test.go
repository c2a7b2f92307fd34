package authgrant

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// recorder records requests and bodies that pass through it.
type recorder struct {
	requests []*http.Request
	closed   []bool
}

type recordedBody struct {
	io.ReadCloser
	closed *bool
}

func (b recordedBody) Close() error {
	*b.closed = true
	return b.ReadCloser.Close()
}

func (r *recorder) RoundTrip(request *http.Request) (*http.Response, error) {
	r.requests = append(r.requests, request)
	response, err := http.DefaultTransport.RoundTrip(request)
	if err == nil {
		r.closed = append(r.closed, false)
		response.Body = recordedBody{response.Body, &r.closed[len(r.closed)-1]}
	}
	return response, err
}

// revoke makes the API reject the current token of the connection.
func revoke(t *testing.T, connection *Connection) string {
	value := mustToken(t, connection).Value()
	control(t, "revoke", map[string]string{"token": value})
	return value
}

func TestTransportAddsToken(t *testing.T) {
	connection := openFor(t, "")
	client := &http.Client{Transport: &Transport{Connection: connection}}
	request, err := http.NewRequest("GET", serverURL+"/api/whoami", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); response.StatusCode != 200 || !strings.Contains(string(body), t.Name()) {
		t.Fatal(response.Status, string(body))
	}
	if len(request.Header) > 0 || len(response.Request.Header) > 0 {
		t.Fatal("the request was modified, or the response refers to one with the token")
	}
}

func TestTransportRetriesRejectedTokenOnce(t *testing.T) {
	connection := openFor(t, "")
	recorder := &recorder{closed: make([]bool, 0, 8)}
	client := &http.Client{Transport: &Transport{Connection: connection, Base: recorder}}
	rejected := revoke(t, connection)
	response, err := client.Post(serverURL+"/api/whoami", "text/plain", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != 200 || len(recorder.requests) != 2 || !recorder.closed[0] {
		t.Fatal(response.Status, len(recorder.requests), recorder.closed)
	}
	first, second := recorder.requests[0].Header.Get("Authorization"), recorder.requests[1].Header.Get("Authorization")
	if first != "Bearer "+rejected || second != "Bearer "+mustToken(t, connection).Value() || first == second {
		t.Fatal("the rejected token must be replaced")
	}
}

func TestTransportDoesNotRepeatSecondRejection(t *testing.T) {
	connection := openFor(t, "")
	calls := 0
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls++
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer api.Close()
	client := &http.Client{Transport: &Transport{Connection: connection}}
	for _, expected := range []int{2, 3} { // the second rejection comes too soon, so that there is no other token
		response, err := client.Get(api.URL)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != 401 || calls != expected {
			t.Fatal(response.Status, calls)
		}
	}
}

func TestTransportDoesNotRepeatStreamedBody(t *testing.T) {
	connection := openFor(t, "")
	rejected := revoke(t, connection)
	recorder := &recorder{closed: make([]bool, 0, 8)}
	request, _ := http.NewRequest("POST", serverURL+"/api/whoami", io.NopCloser(strings.NewReader("body")))
	request.ContentLength = 4
	response, err := (&Transport{Connection: connection, Base: recorder}).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != 401 || len(recorder.requests) != 1 || mustToken(t, connection).Value() == rejected {
		t.Fatal(response.Status, len(recorder.requests))
	}
}

func TestTransportReturnsErrorOfRenewal(t *testing.T) {
	connection := openFor(t, "")
	revoke(t, connection)
	control(t, "behavior", map[string]any{"json": map[string]any{"status": 400, "body": map[string]string{"error": "invalid_grant"}}})
	response, err := (&http.Client{Transport: &Transport{Connection: connection}}).Get(serverURL + "/api/whoami")
	if !errors.Is(err, StatusDenied) || !strings.Contains(err.Error(), "401") {
		t.Fatal(response, err)
	}
}

func TestTransportSendsTokenToNamedHostOnly(t *testing.T) {
	connection := openFor(t, "")
	var authorized []bool
	handler := func(w http.ResponseWriter, request *http.Request) {
		authorized = append(authorized, request.Header.Get("Authorization") != "")
		if target := request.URL.Query().Get("to"); target != "" {
			http.Redirect(w, request, target, http.StatusTemporaryRedirect)
		}
	}
	first, second := httptest.NewServer(http.HandlerFunc(handler)), httptest.NewServer(http.HandlerFunc(handler))
	defer first.Close()
	defer second.Close()
	for _, row := range []struct {
		url      string
		hosts    []string
		expected []bool
	}{
		{first.URL + "?to=" + first.URL + "/a", nil, []bool{true, true}},
		{first.URL + "?to=" + second.URL, nil, []bool{true, false}},
		{first.URL + "?to=" + second.URL + "?to=" + first.URL, nil, []bool{true, false, false}},
		{first.URL, []string{strings.TrimPrefix(first.URL, "http://")}, []bool{true}},
		{first.URL, []string{"127.0.0.1", strings.TrimPrefix(second.URL, "http://")}, []bool{false}},
	} {
		authorized = nil
		client := &http.Client{Transport: &Transport{Connection: connection, Hosts: row.hosts}}
		response, err := client.Get(row.url)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if len(authorized) != len(row.expected) {
			t.Fatal(row.url, authorized)
		}
		for i, expected := range row.expected {
			if authorized[i] != expected {
				t.Errorf("%s: %v instead of %v", row.url, authorized, row.expected)
			}
		}
	}
}

// refusedBody fails if it is sent.
type refusedBody struct{ closed bool }

func (b *refusedBody) Read([]byte) (int, error) { return 0, errors.New("the body was read") }

func (b *refusedBody) Close() error {
	b.closed = true
	return nil
}

func TestTransportClosesBodyOfUnsentRequest(t *testing.T) {
	closed := openFor(t, "")
	closed.Close()
	open := openFor(t, "")
	for url, connection := range map[string]*Connection{serverURL: closed, "http://example.com/": open} {
		body := &refusedBody{}
		request, _ := http.NewRequest("POST", url, body)
		if _, err := (&Transport{Connection: connection}).RoundTrip(request); err == nil || !body.closed {
			t.Errorf("%s: %v, closed: %v", url, err, body.closed)
		}
	}
}

func TestOriginHasPortOfScheme(t *testing.T) {
	for url, expected := range map[string]string{
		"https://Example.com/a":  "https://example.com:443",
		"http://example.com":     "http://example.com:80",
		"https://[::1]:8443/a?b": "https://[::1]:8443",
	} {
		request, err := http.NewRequest("GET", url, nil)
		if err != nil || origin(request.URL) != expected {
			t.Errorf("%s: %s, %v", url, origin(request.URL), err)
		}
	}
}
