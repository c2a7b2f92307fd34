package authgrant

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// maxDiscarded limits what is read of the body of a 401 to keep its connection.
const maxDiscarded = 64 << 10

// Transport is an [http.RoundTripper] that adds the headers of a connection to requests. If the API answers 401, it rejects the
// token of that request, and sends the request once more if its body can be repeated (no body, or GetBody is set) and the
// connection has another token.
//
// The headers are added only to requests of the host that the caller named: not to those that follow a redirect to another
// scheme, host or port, and not to hosts that are missing in Hosts. Such requests are sent as they are. A request without TLS
// to a host other than the loopback interface is an error.
type Transport struct {
	// Connection provides the headers. It must stay open.
	Connection *Connection
	// Base sends the requests; nil for [http.DefaultTransport].
	Base http.RoundTripper
	// Hosts are the hosts that receive the headers, each with its port unless that is the default of the scheme. Empty for all.
	Hosts []string
}

// RoundTrip implements [http.RoundTripper].
func (t *Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	if !t.mayAuthorize(request) {
		return t.base().RoundTrip(request)
	}
	if request.URL.Scheme != "https" && !isLoopback(request.URL.Hostname()) {
		closeBody(request)
		return nil, fmt.Errorf("authgrant: no token is sent to %s without TLS", request.URL.Host)
	}
	headers, err := t.Connection.Headers(request.Context())
	if err != nil {
		closeBody(request)
		return nil, err
	}
	response, err := t.send(request, withHeaders(request, headers))
	if err != nil || response.StatusCode != http.StatusUnauthorized || headers.Token() == nil {
		return response, err
	}
	return t.retry(request, headers.Token(), response)
}

// retry sends a request again whose token was answered with 401.
func (t *Transport) retry(request *http.Request, rejected *Token, response *http.Response) (*http.Response, error) {
	if err := t.Connection.Reject(rejected); err != nil || !isRepeatable(request) {
		return response, nil
	}
	headers, err := t.Connection.Headers(request.Context())
	if err != nil {
		_ = response.Body.Close()
		return nil, fmt.Errorf("authgrant: the API answered %s, and there is no other token: %w", response.Status, err)
	}
	if headers.Token() == nil || headers.Token().Value() == rejected.Value() {
		return response, nil
	}
	second := withHeaders(request, headers)
	if request.GetBody != nil {
		if second.Body, err = request.GetBody(); err != nil {
			return response, nil
		}
	}
	_, _ = io.CopyN(io.Discard, response.Body, maxDiscarded)
	_ = response.Body.Close()
	return t.send(request, second)
}

// send sends authorized, a copy of the request with the headers. The response refers to the request without them, because
// programs log it.
func (t *Transport) send(request, authorized *http.Request) (*http.Response, error) {
	response, err := t.base().RoundTrip(authorized)
	if response != nil {
		response.Request = request
	}
	return response, err
}

func (t *Transport) base() http.RoundTripper {
	if t.Base != nil {
		return t.Base
	}
	return http.DefaultTransport
}

// mayAuthorize reports whether the host of the request may receive the token: it is the one that the caller named, and each
// redirect since then stayed there. [http.Client] sends each redirect through the transport.
func (t *Transport) mayAuthorize(request *http.Request) bool {
	if len(t.Hosts) > 0 && !slices.ContainsFunc(t.Hosts, func(host string) bool { return isHost(request.URL, host) }) {
		return false
	}
	for previous := request; previous.Response != nil && previous.Response.Request != nil; {
		previous = previous.Response.Request
		if origin(previous.URL) != origin(request.URL) {
			return false
		}
	}
	return true
}

// isHost reports whether url is of the host, which has the port of the URL unless that is the default.
func isHost(target *url.URL, host string) bool {
	return origin(&url.URL{Scheme: target.Scheme, Host: host}) == origin(target)
}

// origin returns scheme, host and port (RFC 6454 section 4).
func origin(target *url.URL) string {
	port := target.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[target.Scheme]
	}
	return target.Scheme + "://" + net.JoinHostPort(strings.ToLower(target.Hostname()), port)
}

func isLoopback(host string) bool {
	address := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || address != nil && address.IsLoopback()
}

// isRepeatable reports whether the body of the request can be sent again.
func isRepeatable(request *http.Request) bool {
	return request.Body == nil || request.Body == http.NoBody || request.GetBody != nil
}

// withHeaders returns a copy of the request with the headers: a RoundTripper must not change its request.
func withHeaders(request *http.Request, headers *Headers) *http.Request {
	second := request.Clone(request.Context())
	headers.Apply(second.Header)
	return second
}

// closeBody closes the body of a request that is not sent, as a RoundTripper must.
func closeBody(request *http.Request) {
	if request.Body != nil {
		_ = request.Body.Close()
	}
}
