// SPDX-License-Identifier: MPL-2.0

package entratest

// errorPage is learn.microsoft.com, "Microsoft Entra authentication and authorization error codes":
// it gives a number and what it means, never the value of `error`.
const errorPage = "Microsoft: error codes page"

// noSource marks a rule that no page and no thread that is known to us shows. It is what the
// protocol asks for, or what the engine must cope with either way.
const noSource = "none: inferred"

// ruleSources say why the simulator refuses with an AADSTS number where it does: a page by its
// name, or a thread in which somebody met the refusal. A test holds the list to the code.
var ruleSources = map[int]string{
	28000:   "Earlybyte/aad_oauth #328, MSAL.js #1487: one token request names two resources",
	28003:   errorPage,
	28004:   "MSAL.js #663 for the number; MSAL.js #1548, in this project's notes, for the limit",
	50011:   "Microsoft: Redirect URI (reply URL) best practices and limitations",
	50020:   "MicrosoftDocs/azure-docs #114009",
	50034:   errorPage,
	50049:   "ADAL for Android #1151: instance discovery of a host that is not Microsoft's",
	50055:   errorPage,
	50057:   errorPage,
	50058:   errorPage,
	50076:   "MSAL.js #5491; the claims it wants of a sign-in: passport-azure-ad-oauth2 #33",
	50089:   errorPage,
	50147:   errorPage,
	50148:   noSource,
	50149:   noSource,
	50173:   "azure-cli #16745",
	50194:   errorPage,
	53003:   "azure-cli #32809",
	54005:   "dnn.azureadprovider #17, microsoft-identity-web #2489",
	65001:   "oauth2-microsoft #31",
	65004:   "MicrosoftDocs/azure-docs #114009: without a subcode; with one: this project's notes",
	70000:   "BingAds-Python-SDK #279; a personal account's consent: MSAL.js #3303",
	70003:   errorPage,
	70007:   errorPage,
	70008:   errorPage,
	70011:   "MSAL.js #1718, #4071: a .default beside other scopes; azure-sdk-for-net #9076",
	70016:   "ADAL for Node.js #137",
	70018:   errorPage,
	70020:   "data-safe-haven #2142, azure-cli #22251",
	70043:   "email-oauth2-proxy #181",
	90002:   "windowsupdates-webapplication-sample #6",
	90009:   errorPage + "; without a scope, and by an identifier URI: this project's notes",
	90023:   errorPage,
	90094:   "abraunegg/onedrive #769",
	500011:  "msal_mobile #6",
	500112:  noSource,
	501481:  errorPage,
	501491:  errorPage,
	650053:  noSource,
	650057:  "msal_streamlit_authentication #43",
	700016:  errorPage,
	700021:  noSource,
	700023:  noSource,
	700024:  "MSAL for Java #984",
	700025:  "authd #1881, email-oauth2-proxy #363: by the redirect URI's platform, for good",
	700027:  errorPage,
	700051:  noSource,
	700082:  "azure-cli #14244",
	700084:  errorPage,
	900144:  errorPage,
	900561:  errorPage,
	900971:  errorPage,
	7000112: errorPage,
	7000215: "MMM-MicrosoftToDo #50",
	7000218: errorPage + "; by the platform of the redirect URI: authd #1881",
	7000222: "botframework-sdk #6221",
	9000411: noSource,
	9002313: "MSAL.js #1611; of a malformed request: " + errorPage,
	9002325: noSource,
	9002326: noSource,
	9002327: noSource,
}
