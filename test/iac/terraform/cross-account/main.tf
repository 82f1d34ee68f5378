# A destination in another account, with an inline policy of the role, a bucket policy and key policies.
variable "bucket_policy" {
  type    = bool
  default = true
}
variable "owner_override" {
  type    = bool
  default = true
}
variable "override_permission" {
  type    = bool
  default = true
}

data "aws_caller_identity" "source" {}

data "aws_caller_identity" "replica" {
  provider = aws.replica
}

locals {
  role_arn     = "arn:aws:iam::${data.aws_caller_identity.source.account_id}:role/acme-ledgers-replication"
  destination  = "arn:aws:s3:::acme-ledgers-replica"
  replica_root = "arn:aws:iam::${data.aws_caller_identity.replica.account_id}:root"
}

resource "aws_kms_key" "source" {}

resource "aws_kms_key" "replica" {
  provider = aws.replica
}

resource "aws_kms_key_policy" "replica" {
  provider = aws.replica
  key_id   = aws_kms_key.replica.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Sid = "Account", Effect = "Allow", Principal = { AWS = local.replica_root }, Action = "kms:*", Resource = "*" },
      {
        Sid       = "Replication"
        Effect    = "Allow"
        Principal = { AWS = local.role_arn }
        Action    = ["kms:Encrypt", "kms:GenerateDataKey", "kms:Decrypt"]
        Resource  = "*"
      },
    ]
  })
  depends_on = [aws_iam_role.replication]
}

module "destination" {
  source        = "../modules/bucket"
  providers     = { aws = aws.replica }
  bucket        = "acme-ledgers-replica"
  kms_key_arn   = aws_kms_key.replica.arn
  attach_policy = var.bucket_policy
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "Replication"
      Effect    = "Allow"
      Principal = { AWS = aws_iam_role.replication.arn }
      Action = concat(
        ["s3:ReplicateObject", "s3:ReplicateDelete", "s3:ReplicateTags"],
        var.override_permission ? ["s3:ObjectOwnerOverrideToBucketOwner"] : [],
      )
      Resource = "${local.destination}/*"
    }]
  })
}

module "source" {
  source      = "../modules/bucket"
  bucket      = "acme-ledgers"
  kms_key_arn = aws_kms_key.source.arn
  replication_configuration = {
    role = aws_iam_role.replication.arn
    rules = [{
      id       = "ledgers"
      priority = 1
      destination = {
        bucket             = module.destination.arn
        account            = data.aws_caller_identity.replica.account_id
        owner_override     = var.owner_override
        replica_kms_key_id = aws_kms_key.replica.arn
      }
    }]
  }
}

resource "aws_iam_role" "replication" {
  name = "acme-ledgers-replication"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Principal = { Service = "s3.amazonaws.com" }, Action = "sts:AssumeRole" }]
  })
}

resource "aws_iam_role_policy" "replication" {
  name = "replication"
  role = aws_iam_role.replication.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = ["s3:GetReplicationConfiguration", "s3:ListBucket"]
        Resource = module.source.arn
      },
      {
        Effect   = "Allow"
        Action   = ["s3:GetObjectVersionForReplication", "s3:GetObjectVersionAcl", "s3:GetObjectVersionTagging"]
        Resource = "${module.source.arn}/*"
      },
      {
        Effect   = "Allow"
        Action   = ["s3:ReplicateObject", "s3:ReplicateDelete", "s3:ReplicateTags", "s3:ObjectOwnerOverrideToBucketOwner"]
        Resource = "${module.destination.arn}/*"
      },
      { Effect = "Allow", Action = "kms:Decrypt", Resource = aws_kms_key.source.arn },
      { Effect = "Allow", Action = ["kms:Encrypt", "kms:GenerateDataKey", "kms:Decrypt"], Resource = aws_kms_key.replica.arn },
    ]
  })
}
