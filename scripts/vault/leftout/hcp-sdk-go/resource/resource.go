// SPDX-License-Identifier: MPL-2.0

// Package resource stands for resources of the HashiCorp Cloud Platform.
package resource

import (
	"errors"

	"github.com/hashicorp/hcp-sdk-go/clients/cloud-shared/v1/models"
)

// Resource is a resource.
type Resource struct{ ID, Organization, Project string }

// FromString is refused.
func FromString(string) (Resource, error) {
	return Resource{}, errors.New("the HashiCorp Cloud Platform is left out of the small Vault")
}

// Link is empty.
func (Resource) Link() *models.HashicorpCloudLocationLink {
	return &models.HashicorpCloudLocationLink{}
}
