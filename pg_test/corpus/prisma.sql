-- A publishing site in the manner of Prisma: names of models in mixed case, SERIAL keys, TIMESTAMP(3),
-- enum types, implicit many-to-many tables, tables of the session library with text keys.
CREATE TYPE "Role" AS ENUM ('USER', 'EDITOR', 'ADMIN');
CREATE TYPE "Plan" AS ENUM ('FREE', 'PRO');
CREATE TABLE "_prisma_migrations" (
    "id" VARCHAR(36) NOT NULL PRIMARY KEY,
    "checksum" VARCHAR(64) NOT NULL,
    "finished_at" TIMESTAMPTZ,
    "migration_name" VARCHAR(255) NOT NULL,
    "started_at" TIMESTAMPTZ NOT NULL DEFAULT now(),
    "applied_steps_count" INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE "User" (
    "id" SERIAL /* by hand: uuid DEFAULT public.uuidv7() */ NOT NULL,
    "email" TEXT NOT NULL,
    "name" TEXT,
    "role" "Role" NOT NULL DEFAULT 'USER',
    "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" TIMESTAMP(3) NOT NULL,
    CONSTRAINT "User_pkey" PRIMARY KEY ("id")
);
CREATE TABLE "Account" (
    "id" TEXT NOT NULL,
    "userId" INTEGER /* by hand: uuid */ NOT NULL,
    "provider" TEXT NOT NULL,
    "providerAccountId" TEXT NOT NULL,
    CONSTRAINT "Account_pkey" PRIMARY KEY ("id")
);
CREATE TABLE "Session" (
    "id" TEXT NOT NULL,
    "sessionToken" TEXT NOT NULL,
    "userId" INTEGER /* by hand: uuid */ NOT NULL,
    "expires" TIMESTAMP(3) NOT NULL,
    CONSTRAINT "Session_pkey" PRIMARY KEY ("id")
);
CREATE TABLE "Profile" (
    "id" SERIAL NOT NULL,
    "bio" TEXT,
    "userId" INTEGER /* by hand: uuid */ NOT NULL,
    CONSTRAINT "Profile_pkey" PRIMARY KEY ("id")
);
CREATE TABLE "Post" (
    "id" SERIAL /* by hand: uuid DEFAULT public.uuidv7() */ NOT NULL,
    "title" TEXT NOT NULL,
    "content" TEXT,
    "published" BOOLEAN NOT NULL DEFAULT false,
    "authorId" INTEGER /* by hand: uuid */ NOT NULL,
    "parentId" INTEGER /* by hand: uuid */,
    "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" TIMESTAMP(3) NOT NULL,
    CONSTRAINT "Post_pkey" PRIMARY KEY ("id")
);
CREATE TABLE "Comment" (
    "id" SERIAL NOT NULL,
    "body" TEXT NOT NULL,
    "postId" INTEGER /* by hand: uuid */ NOT NULL,
    "authorId" INTEGER /* by hand: uuid */,
    "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "Comment_pkey" PRIMARY KEY ("id")
);
CREATE TABLE "Category" (
    "id" SERIAL /* by hand: uuid DEFAULT public.uuidv7() */ NOT NULL,
    "name" TEXT NOT NULL,
    CONSTRAINT "Category_pkey" PRIMARY KEY ("id")
);
CREATE TABLE "_CategoryToPost" (
    "A" INTEGER /* by hand: uuid */ NOT NULL,
    "B" INTEGER /* by hand: uuid */ NOT NULL
);
CREATE TABLE "Like" (
    "userId" INTEGER /* by hand: uuid */ NOT NULL,
    "postId" INTEGER /* by hand: uuid */ NOT NULL,
    "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "Like_pkey" PRIMARY KEY ("userId", "postId")
);
CREATE TABLE "Event" (
    "id" SERIAL NOT NULL,
    "name" TEXT NOT NULL,
    "userId" INTEGER /* by hand: uuid */,
    "postId" INTEGER /* by hand: uuid */,
    "visitorId" INTEGER,
    "campaignId" INTEGER,
    "payload" JSONB NOT NULL DEFAULT '{}',
    "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "Event_pkey" PRIMARY KEY ("id")
);
CREATE TABLE "Subscription" (
    "id" SERIAL NOT NULL,
    "userId" INTEGER /* by hand: uuid */ NOT NULL,
    "plan" "Plan" NOT NULL DEFAULT 'FREE',
    "renewsAt" TIMESTAMP(3),
    "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "Subscription_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "User_email_key" ON "User"("email");
CREATE UNIQUE INDEX "Account_provider_providerAccountId_key" ON "Account"("provider", "providerAccountId");
CREATE UNIQUE INDEX "Session_sessionToken_key" ON "Session"("sessionToken");
CREATE UNIQUE INDEX "Profile_userId_key" ON "Profile"("userId");
CREATE INDEX "Post_authorId_createdAt_idx" ON "Post"("authorId", "createdAt");
CREATE INDEX "Comment_postId_idx" ON "Comment"("postId");
CREATE UNIQUE INDEX "Category_name_key" ON "Category"("name");
CREATE UNIQUE INDEX "_CategoryToPost_AB_unique" ON "_CategoryToPost"("A", "B");
CREATE INDEX "_CategoryToPost_B_index" ON "_CategoryToPost"("B");
CREATE INDEX "Event_postId_idx" ON "Event"("postId");
CREATE UNIQUE INDEX "Subscription_userId_plan_key" ON "Subscription"("userId", "plan");
ALTER TABLE "Account" ADD CONSTRAINT "Account_userId_fkey" FOREIGN KEY ("userId") REFERENCES "User"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "Session" ADD CONSTRAINT "Session_userId_fkey" FOREIGN KEY ("userId") REFERENCES "User"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "Profile" ADD CONSTRAINT "Profile_userId_fkey" FOREIGN KEY ("userId") REFERENCES "User"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "Post" ADD CONSTRAINT "Post_authorId_fkey" FOREIGN KEY ("authorId") REFERENCES "User"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "Post" ADD CONSTRAINT "Post_parentId_fkey" FOREIGN KEY ("parentId") REFERENCES "Post"("id") ON DELETE SET NULL ON UPDATE CASCADE;
ALTER TABLE "Comment" ADD CONSTRAINT "Comment_postId_fkey" FOREIGN KEY ("postId") REFERENCES "Post"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "_CategoryToPost" ADD CONSTRAINT "_CategoryToPost_A_fkey" FOREIGN KEY ("A") REFERENCES "Category"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "_CategoryToPost" ADD CONSTRAINT "_CategoryToPost_B_fkey" FOREIGN KEY ("B") REFERENCES "Post"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "Like" ADD CONSTRAINT "Like_userId_fkey" FOREIGN KEY ("userId") REFERENCES "User"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "Like" ADD CONSTRAINT "Like_postId_fkey" FOREIGN KEY ("postId") REFERENCES "Post"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- Rows
INSERT INTO "_prisma_migrations" ("id", "checksum", "migration_name") SELECT md5(i::text), 'c', 'm' || i FROM generate_series(1, 10) AS i;
INSERT INTO "User" ("email", "name", "createdAt", "updatedAt")
    SELECT 'u' || i || '@example.com', 'User ' || i, t, t
    FROM generate_series(1, 700) AS i, LATERAL (SELECT timestamp '2024-01-01' + i * interval '9 minutes' AS t) AS at;
INSERT INTO "Account" SELECT md5(i::text), i, 'github', i::text FROM generate_series(1, 700) AS i;
INSERT INTO "Session" SELECT md5(i::text), md5('s' || i), i % 700 + 1, '2025-01-01' FROM generate_series(1, 900) AS i;
INSERT INTO "Profile" ("bio", "userId") SELECT 'bio ' || i, i FROM generate_series(1, 600) AS i;
INSERT INTO "Post" ("title", "content", "authorId", "parentId", "createdAt", "updatedAt")
    SELECT 'Post ' || i, repeat('text ', 20), i % 700 + 1, CASE WHEN i % 9 = 0 THEN i - 4 END, t, t
    FROM generate_series(1, 2000) AS i, LATERAL (SELECT timestamp '2024-02-01' + i * interval '4 minutes' AS t) AS at;
INSERT INTO "Comment" ("body", "postId", "authorId") SELECT 'Comment ' || i, i % 2000 + 1, i % 700 + 1 FROM generate_series(1, 5000) AS i;
INSERT INTO "Category" ("name") SELECT 'Category ' || i FROM generate_series(1, 30) AS i;
INSERT INTO "_CategoryToPost" SELECT DISTINCT i % 30 + 1, i % 1999 + 1 FROM generate_series(1, 3000) AS i;
INSERT INTO "Like" ("userId", "postId") SELECT i % 700 + 1, i % 1999 + 1 FROM generate_series(1, 3000) AS i;
INSERT INTO "Event" ("name", "userId", "postId", "visitorId") SELECT 'view', CASE WHEN i % 3 = 0 THEN i % 700 + 1 END, i % 2000 + 1, i FROM generate_series(1, 4000) AS i;
INSERT INTO "Subscription" ("userId", "plan") SELECT i, 'PRO' FROM generate_series(1, 200) AS i;
ANALYZE;
