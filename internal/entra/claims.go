// SPDX-License-Identifier: MPL-2.0

package entra

import (
	"bytes"
	"encoding/json"
)

// claimsParameter is the claims parameter of a request (OpenID Connect Core section 5.5): what this
// request asks for, a claims challenge say, merged with the client's capabilities. Microsoft wants
// those in every request, as {"access_token":{"xms_cc":{"values":["cp1"]}}} ("Claims challenges,
// claims requests and client capabilities"). Where both say something about the same member, the
// request's own word counts. "" = send no parameter.
func (c *Client) claimsParameter(own string) (string, error) {
	if own == "" && len(c.cfg.Capabilities) == 0 {
		return "", nil
	}
	if own != "" && !isJSONObject(own) {
		return "", &Error{Class: ClassRequest, Description: "claims must be a JSON object"}
	}
	if len(c.cfg.Capabilities) == 0 {
		return own, nil
	}
	merged := map[string]any{
		"access_token": map[string]any{"xms_cc": map[string]any{"values": c.cfg.Capabilities}}}
	if own != "" {
		var object map[string]any
		decoder := json.NewDecoder(bytes.NewReader([]byte(own)))
		decoder.UseNumber() // a claim's value goes on as it came
		if err := decoder.Decode(&object); err != nil {
			return "", &Error{Class: ClassRequest, Description: "claims must be a JSON object",
				Err: err}
		}
		mergeObjects(merged, object)
	}
	text, err := json.Marshal(merged)
	if err != nil {
		return "", &Error{Class: ClassRequest, Description: "claims cannot be sent", Err: err}
	}
	return string(text), nil
}

// mergeObjects puts every member of over into base. Where both hold an object the two are merged
// likewise.
func mergeObjects(base, over map[string]any) {
	for name, value := range over {
		below, isObject := base[name].(map[string]any)
		above, bothObjects := value.(map[string]any)
		switch {
		case isObject && bothObjects:
			mergeObjects(below, above)
		case isObject && value == nil:
			// {"access_token": null} asks for nothing in particular, and must not take the
			// capabilities away
		default:
			base[name] = value
		}
	}
}
