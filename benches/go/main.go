// golang.org/x/oauth2/jwt. `peer first STORE` opens a PKCS#12 or JKS, fetches one token and writes how long that took from
// the beginning of main; without arguments it answers figures, as benches/c/bench.h has it.
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

func fixturePath(name string) string { return os.Getenv("BENCH_SCENE") + "/" + name }

// client keeps its connection, and trusts the scene's authority alone.
func client() context.Context {
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

// keyOf is the key of a store as the PEM that jwt.Config wants.
func loadKeyPEM(path string) []byte {
	store := must(os.ReadFile(path))
	var der []byte
	if bytes.HasPrefix(store, []byte{0xfe, 0xed, 0xfe, 0xed}) {
		opened := keystore.New()
		must(0, opened.Load(bytes.NewReader(store), []byte("secret")))
		der = must(opened.GetPrivateKeyEntry(opened.Aliases()[0], []byte("secret"))).PrivateKey
	} else {
		key, _, _, err := pkcs12.DecodeChain(store, "secret")
		der = must(x509.MarshalPKCS8PrivateKey(must(key, err)))
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// used is the processor time of this process.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	must(0, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// read measures a cached token on so many threads, on one source or on equal ones.
func read(threads int, mode string, milliseconds int, one oauth2.TokenSource, equal func() oauth2.TokenSource) {
	var stop atomic.Bool
	var count atomic.Int64
	var done sync.WaitGroup
	sources := make([]oauth2.TokenSource, threads)
	for i := range sources {
		sources[i] = one
		if mode == "equal" {
			sources[i] = equal()
			must(sources[i].Token())
		}
	}
	began, begun := time.Now(), cpuTime()
	for _, source := range sources {
		done.Add(1)
		go func() {
			defer done.Done()
			mine := int64(0)
			for !stop.Load() {
				for range steps {
					if token, err := source.Token(); err != nil || token.AccessToken == "" {
						must(0, errors.New("no token"))
					}
				}
				mine += steps
			}
			count.Add(mine)
		}()
	}
	time.Sleep(time.Duration(milliseconds) * time.Millisecond)
	stop.Store(true)
	done.Wait()
	spent := cpuTime() - begun
	fmt.Printf("%.3f %.3f\n", float64(spent)/float64(count.Load()), float64(spent)/float64(time.Since(began)))
}

// fetch asks for so many tokens, each from a source that has none yet.
func fetch(count int, source func() oauth2.TokenSource) {
	times := make([]time.Duration, count)
	begun := cpuTime()
	for i := range times {
		started := time.Now()
		must(source().Token())
		times[i] = time.Since(started)
	}
	spent := (cpuTime() - begun) / time.Duration(count)
	slices.Sort(times)
	fmt.Println(times[count/2].Nanoseconds(), times[count/10].Nanoseconds(), spent.Nanoseconds())
}

func main() {
	began := time.Now()
	if len(os.Args) == 3 && os.Args[1] == "first" {
		must(config(loadKeyPEM(os.Args[2])).TokenSource(client()).Token())
		fmt.Println(time.Since(began).Nanoseconds())
		return
	}
	kept := client()
	settings := config(must(os.ReadFile(fixturePath("rsa.pem"))))
	fresh := func() oauth2.TokenSource { return settings.TokenSource(kept) }
	one := fresh()
	must(one.Token())
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var a, b int
		var mode string
		if n, _ := fmt.Sscanf(lines.Text(), "read %d %s %d", &a, &mode, &b); n == 3 {
			read(a, mode, b, one, fresh)
		} else if n, _ := fmt.Sscanf(lines.Text(), "fetch %d", &a); n == 1 {
			fetch(a, fresh)
		} else {
			fmt.Println("error", lines.Text())
		}
	}
}
