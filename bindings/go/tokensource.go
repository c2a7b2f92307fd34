package authgrant

import (
	"context"
	"time"

	"golang.org/x/oauth2"
)

// leaseTime is for how long wrappers of a token source may reuse a token without asking again.
const leaseTime = time.Minute

type tokenSource struct {
	ctx        context.Context
	connection *Connection
}

// TokenSource returns a token source for code that uses golang.org/x/oauth2. ctx applies to each of its calls.
//
// Ask it each time: a cached token takes less time than [oauth2.ReuseTokenSource]'s own check. [oauth2.NewClient] wraps its source
// all the same, and such a wrapper would use a token without Expiry forever and would not notice a rejected one. Therefore
// Expiry is the time for which the token may be used without asking again: one minute, or until it expires if that is earlier.
// [Token.ExpiresAt] is when the token expires.
func (c *Connection) TokenSource(ctx context.Context) oauth2.TokenSource {
	return tokenSource{ctx, c}
}

func (s tokenSource) Token() (*oauth2.Token, error) {
	token, err := s.connection.Token(s.ctx)
	if err != nil {
		return nil, err
	}
	expiry := time.Now().Add(leaseTime)
	if !token.ExpiresAt().IsZero() && token.ExpiresAt().Before(expiry) {
		expiry = token.ExpiresAt()
	}
	return &oauth2.Token{AccessToken: token.Value(), TokenType: token.Type(), Expiry: expiry}, nil
}
