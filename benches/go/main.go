// The peer golang.org/x/oauth2/jwt. `peer first STORE` opens a PKCS#12 or JKS, fetches one token and prints the time since the
// start of main; without arguments it reads commands, see benches/c/bench.h.
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	keystore "github.com/pavlo-v-chernykh/keystore-go/v4"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/jwt"
	"software.sslmate.com/src/go-pkcs12"
)

const steps = 64

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

func fixturePath(name string) string { return os.Getenv("BENCH_FIXTURE") + "/" + name }

// newClientContext returns a context with a keep-alive client that trusts only the CA of the fixture.
func newClientContext() context.Context {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(must(os.ReadFile(fixturePath("ca.pem"))))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	return context.WithValue(context.Background(), oauth2.HTTPClient, &http.Client{Transport: transport})
}

func config(key []byte) *jwt.Config {
	return &jwt.Config{
		Email:      "1a2b3c4d5e_6f7g8h9g",
		Subject:    "jsmith@example.com",
		PrivateKey: key,
		Scopes:     []string{"signature", "impersonation"},
		TokenURL:   os.Getenv("BENCH_SERVER") + "/token/goxo",
	}
}

// loadKeyPEM loads the key of a store as PEM, which jwt.Config requires.
func loadKeyPEM(path string) []byte {
	store := must(os.ReadFile(path))
	var der []byte
	if bytes.HasPrefix(store, []byte{0xfe, 0xed, 0xfe, 0xed}) {
		jks := keystore.New()
		must(0, jks.Load(bytes.NewReader(store), []byte("secret")))
		der = must(jks.GetPrivateKeyEntry(jks.Aliases()[0], []byte("secret"))).PrivateKey
	} else {
		key, _, _, err := pkcs12.DecodeChain(store, "secret")
		der = must(x509.MarshalPKCS8PrivateKey(must(key, err)))
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// cpuTime returns the CPU time of this process.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	must(0, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// read measures reads of a cached token on several threads, with one token source or equal ones.
func read(threads int, mode string, milliseconds int, shared oauth2.TokenSource, newSource func() oauth2.TokenSource) {
	var stop atomic.Bool
	var count atomic.Int64
	var done sync.WaitGroup
	sources := make([]oauth2.TokenSource, threads)
	for i := range sources {
		sources[i] = shared
		if mode == "equal" {
			sources[i] = newSource()
			must(sources[i].Token())
		}
	}
	started, cpuStart := time.Now(), cpuTime()
	for _, source := range sources {
		done.Add(1)
		go func() {
			defer done.Done()
			local := int64(0)
			for !stop.Load() {
				for range steps {
					if token, err := source.Token(); err != nil || token.AccessToken == "" {
						must(0, errors.New("no token"))
					}
				}
				local += steps
			}
			count.Add(local)
		}()
	}
	time.Sleep(time.Duration(milliseconds) * time.Millisecond)
	stop.Store(true)
	done.Wait()
	spent := cpuTime() - cpuStart
	fmt.Printf("%.3f %.3f\n", float64(spent)/float64(count.Load()), float64(spent)/float64(time.Since(started)))
}

// fetch measures token requests, each with a new token source.
func fetch(count int, newSource func() oauth2.TokenSource) {
	times := make([]time.Duration, count)
	cpuStart := cpuTime()
	for i := range times {
		started := time.Now()
		must(newSource().Token())
		times[i] = time.Since(started)
	}
	spent := (cpuTime() - cpuStart) / time.Duration(count)
	slices.Sort(times)
	fmt.Println(times[count/2].Nanoseconds(), times[count/10].Nanoseconds(), spent.Nanoseconds())
}

func main() {
	started := time.Now()
	if len(os.Args) == 3 && os.Args[1] == "first" {
		must(config(loadKeyPEM(os.Args[2])).TokenSource(newClientContext()).Token())
		fmt.Println(time.Since(started).Nanoseconds())
		return
	}
	ctx := newClientContext()
	settings := config(must(os.ReadFile(fixturePath("rsa.pem"))))
	newSource := func() oauth2.TokenSource { return settings.TokenSource(ctx) }
	shared := newSource()
	must(shared.Token())
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var a, b int
		var mode string
		if n, _ := fmt.Sscanf(lines.Text(), "read %d %s %d", &a, &mode, &b); n == 3 {
			read(a, mode, b, shared, newSource)
		} else if n, _ := fmt.Sscanf(lines.Text(), "fetch %d", &a); n == 1 {
			fetch(a, newSource)
		} else {
			fmt.Println("error", lines.Text())
		}
	}
}
