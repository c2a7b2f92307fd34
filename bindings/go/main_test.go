package authgrant

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const issuer = "1a2b3c4d5e_6f7g8h9g"

// waitTime is longer than any test waits if it passes.
const waitTime = 20 * time.Second

// serverURL is the mock server; keyStore and keyPEM are files with the key that is registered there.
var serverURL, keyStore, keyPEM string

func TestMain(m *testing.M) {
	if program := storePrograms[os.Getenv(storeProgram)]; program != nil {
		if err := program(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code, err := runWithServer(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// runWithServer creates a key store and runs the tests with a mock server.
func runWithServer(m *testing.M) (int, error) {
	directory, err := os.MkdirTemp("", "authgrant-go")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(directory)
	path := func(name string) string { return filepath.Join(directory, name) }
	keyStore, keyPEM = path("jwtcert.p12"), path("jwt.key")
	for _, command := range [][]string{
		{"req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=go", "-days", "300", "-keyout", keyPEM, "-out", path("jwt.pem")},
		{"pkcs12", "-export", "-inkey", keyPEM, "-in", path("jwt.pem"), "-out", keyStore, "-passout", "pass:secret"},
	} {
		if output, err := exec.Command("openssl", command...).CombinedOutput(); err != nil {
			return 1, fmt.Errorf("openssl: %w: %s", err, output)
		}
	}
	server := exec.Command(os.Getenv("AUTHGRANT_MOCK_SERVER"), "--http", "--register", issuer+"="+path("jwt.pem"),
		"--public-client", "app", "--user", "jane:secret", "--redirect-uri", "http://127.0.0.1:0/cb")
	server.Stderr = os.Stderr
	if _, err := server.StdinPipe(); err != nil { // the server runs until its standard input is closed
		return 1, err
	}
	out, err := server.StdoutPipe()
	if err != nil {
		return 1, err
	}
	if err := server.Start(); err != nil {
		return 1, fmt.Errorf("AUTHGRANT_MOCK_SERVER: %w", err)
	}
	defer func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	}()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if url, ready := strings.CutPrefix(lines.Text(), "ready "); ready {
			serverURL = strings.TrimSpace(url)
			os.Setenv("AUTHGRANT_CONNECTION_STRING", connectionString("example"))
			os.Setenv("AUTHGRANT_API", serverURL+"/api/whoami")
			return m.Run(), nil
		}
	}
	return 1, errors.New("the mock server did not become ready")
}

// connectionString is that of DataDirect's documentation with another store, host and subject. Each test has its own subject, so
// that it shares no token with others.
func connectionString(subject string) string {
	return fmt.Sprintf(`DRIVER=DataDirect 8.0 Autonomous REST Connector;AuthenticationMethod=55;ClaimsIssuer='%s';ClaimsSubject=%s;
		JWTCertStore=%s;JWTCertPassword=secret;TokenUri=POST %s/oauth/token;Scope=signature impersonation`, issuer, subject, keyStore, serverURL)
}

// openFor opens a connection that only this test uses.
func openFor(t testing.TB, extra string) *Connection {
	t.Helper()
	connection, err := Open(connectionString(t.Name()) + ";" + extra)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	return connection
}

func mustToken(t testing.TB, connection *Connection) *Token {
	t.Helper()
	token, err := connection.Token(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// control sends a command to the mock server.
func control(t testing.TB, path string, body any) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.Post(serverURL+"/control/"+path, "application/json", bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if answer, _ := io.ReadAll(response.Body); response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", path, answer)
	}
}

// query reads a list or an object of the mock server.
func query(t testing.TB, path string, value any) {
	t.Helper()
	response, err := http.Get(serverURL + "/control/" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(value); err != nil {
		t.Fatal(err)
	}
}

// requestCount is the number of token requests that the mock server has received.
func requestCount(t testing.TB) int {
	var requests []json.RawMessage
	query(t, "requests", &requests)
	return len(requests)
}

// waitForRequests waits until the mock server has received count token requests.
func waitForRequests(t testing.TB, count int) {
	t.Helper()
	for end := time.Now().Add(waitTime); requestCount(t) < count; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the server received %d requests instead of %d", requestCount(t), count)
		}
	}
}

// failure returns the error of the library in err.
func failure(t testing.TB, err error) *Error {
	t.Helper()
	var failure *Error
	if !errors.As(err, &failure) {
		t.Fatalf("not an *authgrant.Error: %v", err)
	}
	return failure
}
