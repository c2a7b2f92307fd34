// The Go binding: a cached read beside an empty call of C and x/oauth2's cache. Reads the command `read MILLISECONDS` and prints the
// CPU time of each of the three in nanoseconds.
package main

// static void empty_call(void) {}
import "C"

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"syscall"
	"time"

	authgrant "authgrant.invalid/go"
	"golang.org/x/oauth2"
)

const steps = 64

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

// cpuTime returns the CPU time of this process.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	must(0, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// measure returns the CPU time of one step in nanoseconds.
func measure(duration time.Duration, step func()) float64 {
	count := 0
	cpuStart := cpuTime()
	for end := time.Now().Add(duration); time.Now().Before(end); count += steps {
		for range steps {
			step()
		}
	}
	return float64(cpuTime()-cpuStart) / float64(count)
}

func main() {
	fixture := os.Getenv("BENCH_FIXTURE")
	connection := must(authgrant.OpenOptions(map[string]string{
		"AuthenticationMethod": "55",
		"ClaimsIssuer":         "1a2b3c4d5e_6f7g8h9g",
		"ClaimsSubject":        "jsmith@example.com",
		"Scope":                "signature impersonation",
		"JWTCertStore":         fixture + "/rsa.pem",
		"TrustStore":           fixture + "/ca.pem",
		"TokenURI":             "POST " + os.Getenv("BENCH_SERVER") + "/token/gobinding",
	}))
	ctx := context.Background()
	must(connection.Token(ctx))
	reused := oauth2.ReuseTokenSource(nil, connection.TokenSource(ctx))
	var failed error
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var milliseconds int
		if n, _ := fmt.Sscanf(lines.Text(), "read %d", &milliseconds); n != 1 {
			fmt.Println("error: unknown command")
			continue
		}
		duration := time.Duration(milliseconds) * time.Millisecond
		fmt.Printf("%.3f %.3f %.3f\n", measure(duration, func() { _, failed = connection.Token(ctx) }),
			measure(duration, func() { C.empty_call() }), measure(duration, func() { _, failed = reused.Token() }))
		must(0, failed)
	}
}
