// SPDX-License-Identifier: MPL-2.0

package entra

import (
	"context"
	"fmt"
	"strings"
)

// issuerRule says which `iss` an ID token may have, and which `tid`.
type issuerRule struct {
	pattern      string // exact, or with {tenantid} for the token's own tid
	tenant       string // the only tid that is accepted; "" = any
	impliesTid   bool   // pattern names tenant, so a token without tid is that tenant's
	noPersonal   bool   // organizations: any tenant but that of personal accounts
	keysHaveSame bool   // a signing key that names an issuer must name this one
}

// issuerRule is offline for the three environments unless the tenant is a domain, whose GUID only
// discovery knows.
func (c *Client) issuerRule(ctx context.Context) (issuerRule, error) {
	doc, err := c.provider(ctx)
	if err == nil && doc.Issuer == "" && c.cfg.Issuer == "" {
		doc, err = c.discovery.get(ctx)
	}
	if err != nil {
		return issuerRule{}, err
	}
	asked, _ := splitTenant(c.authority.path())
	rule := issuerRule{pattern: doc.Issuer, tenant: c.tenantGUID(),
		noPersonal: strings.EqualFold(asked, "organizations")}
	if c.cfg.Issuer != "" {
		rule.pattern = c.cfg.Issuer
		return rule, nil
	}
	rule.keysHaveSame = !c.authority.isCustomerDirectory()
	if !c.authority.custom && !rule.shared() {
		rule.tenant, _ = splitTenant(authority{base: doc.Issuer}.path())
		rule.impliesTid = true
	}
	return rule, nil
}

// tenantGUID is the tenant that was configured as a GUID, "" otherwise.
func (c *Client) tenantGUID() string {
	if guid.MatchString(c.authority.tenant) {
		return c.authority.tenant
	}
	return ""
}

// shared reports whether the authority speaks for many tenants.
func (r issuerRule) shared() bool { return strings.Contains(r.pattern, tenantPlaceholder) }

// issuer returns the one `iss` that a token with this tid may have. The tid is not verified yet:
// what makes it safe to use is that the result is compared with the same token's iss exactly, and
// that a signature over both follows.
func (r issuerRule) issuer(tid string) (string, error) {
	if r.shared() && !guid.MatchString(tid) {
		return "", fmt.Errorf("tid is not a tenant GUID")
	}
	if r.noPersonal && strings.EqualFold(tid, personalTenant) {
		return "", fmt.Errorf(
			"tid is that of personal accounts, and only work or school accounts may sign in")
	}
	if r.tenant != "" && tid != r.tenant && !(tid == "" && r.impliesTid) {
		return "", fmt.Errorf("tid %q is not the tenant %s", tid, r.tenant)
	}
	return strings.ReplaceAll(r.pattern, tenantPlaceholder, tid), nil
}

// fits reports whether an answer from this authority could bear this issuer. It is used before any
// token is there to say the tenant.
func (r issuerRule) fits(issuer string) bool {
	before, after, shared := strings.Cut(r.pattern, tenantPlaceholder)
	if !shared {
		return issuer == r.pattern
	}
	rest, hasPrefix := strings.CutPrefix(issuer, before)
	tid, hasSuffix := strings.CutSuffix(rest, after)
	return hasPrefix && hasSuffix && guid.MatchString(tid)
}

// CheckResponseIssuer checks the `iss` of an authorization response (RFC 9207), which defends
// against a response that another authority sent. An absent one ("") passes, unless required is set
// and the provider's discovery promises it. The error is an *Error: ClassSignIn, or ClassTransient
// where discovery could not be fetched.
func (c *Client) CheckResponseIssuer(ctx context.Context, iss string, required bool) error {
	if iss == "" && (!required || !c.authority.custom) {
		return nil
	}
	doc, err := c.provider(ctx)
	if err != nil {
		return err
	}
	if iss == "" {
		if doc.PromisesIssuer {
			return signInError(
				"the authorization response has no iss, which this provider promises to send " +
					"(RFC 9207)",
			)
		}
		return nil
	}
	rule, err := c.issuerRule(ctx)
	if err != nil {
		return err
	}
	// Where the operator overrides the issuer of tokens, the response may bear the issuer of
	// discovery or of tokens.
	if !rule.fits(iss) && iss != doc.Issuer {
		return signInError("the authorization response comes from another issuer (RFC 9207)")
	}
	return nil
}
