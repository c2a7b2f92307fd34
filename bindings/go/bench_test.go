package authgrant

import (
	"context"
	"testing"

	"golang.org/x/oauth2"
)

func BenchmarkToken(b *testing.B) {
	connection := openFor(b, "")
	mustToken(b, connection)
	ctx := context.Background()
	for b.Loop() {
		if _, err := connection.Token(ctx); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTokenParallel(b *testing.B) {
	connection := openFor(b, "")
	mustToken(b, connection)
	ctx := context.Background()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := connection.Token(ctx); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkReuseTokenSource(b *testing.B) {
	source := oauth2.ReuseTokenSource(nil, openFor(b, "").TokenSource(context.Background()))
	for b.Loop() {
		if _, err := source.Token(); err != nil {
			b.Fatal(err)
		}
	}
}
